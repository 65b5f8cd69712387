import { LineWindow } from '../../runtime/logging/line-window.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import type { RequestHead } from './request-head.ts';

/** Stops one long header from filling the log. */
const SHOWN_MAX_CHARACTERS = 200;

/**
 * Tells the operator which web pages and host names are kept out. A page's author sees an error of the browser, which tells little; the operator has to know which name to
 * add to a setting.
 */
export class KeptOut {
  readonly #logger: Pick<Logger, 'info'>;
  /** By the sentence: one kind of request does not fill the window of another. */
  readonly #windows = new Map<string, LineWindow>();

  constructor(logger: Pick<Logger, 'info'>) {
    this.#logger = logger;
  }

  /** A web page of an origin that is not allowed asks for something. It gets no answer that it could read. */
  page(request: RequestHead, client: () => string): void {
    const { origin, 'sec-fetch-site': site } = request.headers;
    this.#note('a page of an origin that CORS_ORIGINS does not name was kept out', origin ?? String(site), request, client);
  }

  /** A request is for a host name that is not allowed, and was refused. */
  host(request: RequestHead, client: () => string): void {
    this.#note('a request for a host that ALLOWED_HOSTS does not name was refused', String(request.headers.host), request, client);
  }

  /** A credential was refused. Its sender is told why; the operator sees whether somebody tries many. */
  credential(why: string, request: Pick<RequestHead, 'method' | 'headers'>, client: () => string): void {
    this.#note('a credential was refused', `${client()}: ${why}`, request, client, { why });
  }

  /** A sender that is no administrator tried to administer. */
  administration(request: RequestHead, who: string | undefined, client: () => string): void {
    this.#note('somebody who is no administrator tried to administer', `${client()}: ${who ?? 'nobody'}`, request, client, { credential: who ?? 'none' });
  }

  #note(sentence: string, who: string, { method, headers }: Pick<RequestHead, 'method' | 'headers'>, client: () => string, more: Readonly<Record<string, string>> = {}): void {
    const window = this.#windows.get(sentence) ?? new LineWindow();
    this.#windows.set(sentence, window);
    const omitted = window.admit(shown(who) ?? '');
    if (omitted === undefined) return;
    this.#logger.info({ ...more, method, origin: shown(headers.origin), host: shown(headers.host), client: client(), ...(omitted === 0 ? {} : { omitted }) }, sentence);
  }
}

/** A client's header, for people to read. It is cut short. Control characters for terminals are left out, and so is a password before the `@` of a host. */
export function shown(text: string | undefined): string | undefined {
  return text?.slice(text.lastIndexOf('@') + 1).slice(0, SHOWN_MAX_CHARACTERS).replace(/[^\x20-\x7e]/g, '?');
}
