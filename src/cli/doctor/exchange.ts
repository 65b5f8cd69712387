import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

/** One request through all proxies, and its answer. `send` follows no redirect, retries nothing, and never rejects: a failure is an observation, too. */

/** Stops an endless answer from filling the memory. */
const SEEN_MAX_BYTES = 256 * 1024;

export interface Answer {
  readonly kind: 'answer';
  readonly status: number;
  /** By their names in lower case; repeated ones are joined. */
  readonly headers: Readonly<Record<string, string>>;
  /** The beginning of the body. Empty for an event stream, of which only the head is read. */
  readonly body: string;
  /** Milliseconds from the request to the head. */
  readonly headMs: number;
  /** When the head came, by the clock of this machine. */
  readonly at: number;
  /** The request went over a connection that an earlier one had used. */
  readonly isReused: boolean;
}

export interface Failure {
  readonly kind: 'failure';
  /** The code of the system or of TLS, or `TIMEOUT`. */
  readonly code: string;
  readonly reason: string;
}

export type Reply = Answer | Failure;

export interface Ask {
  readonly method?: 'GET' | 'POST' | 'OPTIONS';
  /** Below the URL of the service. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** By default the bound of the target. Milliseconds. */
  readonly timeoutMs?: number;
  /** Keeps the connection for the next request with this agent. */
  readonly agent?: HttpAgent;
  /** A `Content-Length` larger than the body: the rest is never sent. */
  readonly announcedBytes?: number;
}

/** The address under examination. */
export interface Target {
  /** Without a slash at its end. */
  readonly url: URL;
  readonly token: string | undefined;
  /** The origin of a page that uses the service. */
  readonly origin: string | undefined;
  readonly topic: string;
  /** How long one answer or event may take. Milliseconds. */
  readonly timeoutMs: number;
  /** For how long a quiet stream is watched; 0: not at all. Milliseconds. */
  readonly idleMs: number;
}

export function pathPrefix({ url }: Target): string {
  return url.pathname.replace(/\/+$/, '');
}

export function keepAliveAgent({ url }: Target): HttpAgent {
  return url.protocol === 'https:' ? new HttpsAgent({ keepAlive: true, maxSockets: 1 }) : new HttpAgent({ keepAlive: true, maxSockets: 1 });
}

/** The headers that prove who asks, where a token was given. */
export function credentials({ token }: Target): Readonly<Record<string, string>> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

/** Starts a request. The caller writes its body, and ends it. */
export function start(target: Target, { method = 'GET', path, headers = {}, agent }: Ask, taken: (response: IncomingMessage) => void): ClientRequest {
  const url = new URL(target.url);
  // Do not assign the path to `URL.pathname`, which normalizes it: the proxy must get it as it is.
  const options = { method, headers, agent: agent ?? false, host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port, path: `${pathPrefix(target)}${path}`, protocol: url.protocol };
  return url.protocol === 'https:' ? httpsRequest({ ...options, servername: serverName(url.hostname) }, taken) : httpRequest(options, taken);
}

/** The TLS server name. Empty for an IP address, which is no server name (RFC 6066, section 3). */
export function serverName(hostname: string): string {
  return /^[\d.]+$|:/.test(hostname) ? '' : hostname;
}

/** The headers by their names in lower case, without the token. */
export function headersOf({ headers }: IncomingMessage, target: Target): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, withoutToken(Array.isArray(value) ? value.join(', ') : value ?? '', target)]));
}

/** Removes the token from an answer, which may repeat the request. */
export function withoutToken(text: string, { token }: Target): string {
  return token === undefined ? text : text.replaceAll(token, '<token>');
}

export function failureOf(error: NodeJS.ErrnoException): Failure {
  return { kind: 'failure', code: error.code ?? error.name, reason: error.message };
}

export function timedOut(milliseconds: number): Failure {
  return { kind: 'failure', code: 'TIMEOUT', reason: `nothing came within ${seconds(milliseconds)}` };
}

export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 1 : 0)} s`;
}

export function send(target: Target, ask: Ask): Promise<Reply> {
  return new Promise((resolve) => {
    const { timeoutMs = target.timeoutMs, body = '', announcedBytes } = ask;
    const began = performance.now();
    let outgoing: ClientRequest | undefined;
    const done = (reply: Reply): void => {
      clearTimeout(limit);
      resolve(reply);
      if (ask.agent === undefined || reply.kind === 'failure') outgoing?.destroy();
    };
    const limit = setTimeout(() => done(timedOut(timeoutMs)), timeoutMs);
    try {
      outgoing = start(target, { ...ask, headers: { ...ask.headers, ...(ask.method === 'POST' ? { 'content-length': String(announcedBytes ?? Buffer.byteLength(body)) } : {}) } }, (response) => {
        const headMs = performance.now() - began;
        const at = Date.now();
        const isReused = outgoing?.reusedSocket === true;
        const parts: Buffer[] = [];
        let bytes = 0;
        const answered = (): void => done({ kind: 'answer', status: response.statusCode ?? 0, headers: headersOf(response, target), body: withoutToken(Buffer.concat(parts).toString(), target), headMs, at, isReused });
        if (isEventStream(response.headers['content-type'])) return answered();
        response.on('data', (part: Buffer) => {
          bytes += part.length;
          parts.push(part);
          if (bytes > SEEN_MAX_BYTES) answered();
        });
        // An answer that breaks off counts as an answer, too.
        response.on('error', answered).on('end', answered);
      });
      outgoing.on('error', (error) => done(failureOf(error)));
      if (announcedBytes === undefined) outgoing.end(body);
      else outgoing.write(body);
    } catch (error) {
      done(failureOf(error instanceof Error ? error : new Error(String(error))));
    }
  });
}

export function isEventStream(type: string | undefined): boolean {
  return type?.toLowerCase().startsWith('text/event-stream') === true;
}

/** The problem (RFC 9457) of the service in an answer; a proxy may have changed its content type. Undefined if a proxy answered, or nothing is wrong. */
export function problemOf(reply: Reply | undefined): { readonly code: string; readonly detail: string } | undefined {
  if (reply?.kind !== 'answer') return undefined;
  const { type, code, detail } = jsonOf(reply) as { readonly type?: unknown; readonly code?: unknown; readonly detail?: unknown };
  return typeof code === 'string' && type === `urn:tidings:problem:${code}` ? { code, detail: String(detail) } : undefined;
}

/** Reads the body as a JSON object; returns an empty object for any other body. */
export function jsonOf({ body }: Answer): object {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** The id of the published message; undefined if none was published. */
export function idIn(reply: Reply | undefined): string | undefined {
  const { id } = reply?.kind === 'answer' && reply.status === 201 ? jsonOf(reply) as { readonly id?: unknown } : {};
  return typeof id === 'string' ? id : undefined;
}
