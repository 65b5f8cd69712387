import { LineWindow } from '../../runtime/logging/line-window.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import type { RequestHead } from './request-head.ts';

/** Stops one long header from filling the log. */
const SHOWN_MAX_CHARACTERS = 200;

/**
 * Logs refused web pages, host names and credentials. The author of a page sees only an error of the browser, without the reason. The operator finds here the name that
 * a setting may lack.
 */
export class KeptOut {
  readonly #logger: Pick<Logger, 'info'>;
  /** Each sentence has its own window, so that one kind of request cannot suppress the lines of another. */
  readonly #windows = new Map<string, LineWindow>();

  constructor(logger: Pick<Logger, 'info'>) {
    this.#logger = logger;
  }

  /** A page of an origin that is not allowed sent a request. Its browser does not let it read the answer. */
  page(request: RequestHead, client: () => string): void {
    const { origin, 'sec-fetch-site': site } = request.headers;
    this.#note('a page of an origin that CORS_ORIGINS does not name was kept out', origin ?? String(site), request, client);
  }

  /** A request was refused because its host name is not allowed. */
  host(request: RequestHead, client: () => string): void {
    this.#note('a request for a host that ALLOWED_HOSTS does not name was refused', String(request.headers.host), request, client);
  }

  /** A credential was refused. The operator sees whether somebody tries many. */
  credential(why: string, request: Pick<RequestHead, 'method' | 'headers'>, client: () => string): void {
    this.#note('a credential was refused', `${client()}: ${why}`, request, client, { why });
  }

  /** A sender that is no administrator tried to administer. */
  administration(request: RequestHead, who: string | undefined, client: () => string): void {
    this.#note('somebody who is no administrator tried to administer', `${client()}: ${who ?? 'nobody'}`, request, client, { credential: who ?? 'none' });
  }

  /** @param who A line appears once for each `who` in a window. */
  #note(sentence: string, who: string, { method, headers }: Pick<RequestHead, 'method' | 'headers'>, client: () => string, more: Readonly<Record<string, string>> = {}): void {
    const window = this.#windows.get(sentence) ?? new LineWindow();
    this.#windows.set(sentence, window);
    const omitted = window.admit(shown(who) ?? '');
    if (omitted === undefined) return;
    this.#logger.info({ ...more, method, origin: shown(headers.origin), host: shown(headers.host), client: client(), ...(omitted === 0 ? {} : { omitted }) }, sentence);
  }
}

/** A client's header for a log line: cut short, without control characters of terminals, and without a password before the `@` of a host. */
export function shown(text: string | undefined): string | undefined {
  return text?.slice(text.lastIndexOf('@') + 1).slice(0, SHOWN_MAX_CHARACTERS).replace(/[^\x20-\x7e]/g, '?');
}
