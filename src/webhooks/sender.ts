import { lookup as systemLookup, Resolver } from 'node:dns/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, isIP, type LookupFunction, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import type { WebhookAllow } from '../config/webhook-allow.ts';
import type { Clock } from '../runtime/clock.ts';
import { mayConnect } from './addresses.ts';
import type { Delivery } from './body.ts';
import { hostOf } from './target.ts';

/** The bytes of an answer that administrators can see, to find out why a delivery failed. */
const EXCERPT_MAX_BYTES = 256;
/** The most bytes of an answer that are read. Stops a receiver from sending without end. */
const RECEIVER_ANSWER_MAX_BYTES = 64 * 1024;
/** How long to read an answer after its status. A receiver that never ends its answer counts by its status, not as a timeout. */
const ANSWER_REST_MS = 1_000;
/** The timeout of a DNS server, and how often each server is asked. */
const DNS_WAIT_MS = 2_000;
const DNS_TRIES_FACTOR = 2;

/** The outcome of an attempt. */
export interface Outcome {
  /** The status of the answer; undefined without one. */
  readonly status: number | undefined;
  /** Why no answer came, in our own words: never a text of the receiver. */
  readonly error: string | undefined;
  /** The first bytes of the answer, as text. */
  readonly excerpt: string;
  readonly retryAfter: string | undefined;
  readonly milliseconds: number;
}

export interface SenderDependencies {
  readonly allow: WebhookAllow;
  /** The timeout from the DNS lookup until the status of the answer. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Finds the addresses of a name. By default the DNS servers of the system do. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
}

export interface Sending {
  readonly url: string;
  readonly delivery: Delivery;
  readonly headers: Readonly<Record<string, string>>;
  /** Ends the attempt. */
  readonly signal: AbortSignal;
  /** Called when the connection is open, before the request is written: the process may have been frozen, and have lost its lease. */
  readonly mayStillSend: () => boolean;
}

/** Sends each request over a new connection, to a checked address. Follows no redirect. */
export class Sender {
  readonly #allow: WebhookAllow;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  readonly #resolve: (host: string) => Promise<readonly string[]>;

  constructor({ allow, timeoutMs, clock, resolve = resolverOf(allow) }: SenderDependencies) {
    this.#allow = allow;
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
    this.#resolve = resolve;
  }

  /** Never rejects. */
  async send(sending: Sending): Promise<Outcome> {
    const began = this.#clock.monotonic();
    const limit = new AbortController();
    const timer = this.#clock.after(this.#timeoutMs, () => limit.abort());
    const signal = AbortSignal.any([limit.signal, sending.signal]);
    try {
      const answered = await this.#send(sending, signal);
      return { ...answered, error: undefined, milliseconds: this.#clock.monotonic() - began };
    } catch (error) {
      const why = limit.signal.aborted ? `no answer within ${this.#timeoutMs / 1000} s` : sending.signal.aborted ? 'ended from here' : reasonOf(error);
      return { status: undefined, error: why, excerpt: '', retryAfter: undefined, milliseconds: this.#clock.monotonic() - began };
    } finally {
      timer.cancel();
    }
  }

  async #send({ url: text, delivery, headers, mayStillSend }: Sending, signal: AbortSignal): Promise<Pick<Outcome, 'status' | 'excerpt' | 'retryAfter'>> {
    const url = new URL(text);
    const addresses = await raced(this.#addressesOf(hostOf(url)), signal);
    const socket = await connected(url, addresses, signal);
    try {
      if (!mayStillSend()) throw new SendingError('the lease ended before it was sent');
      return await this.#exchange(url, socket, delivery, headers, signal);
    } finally {
      socket.destroy();
    }
  }

  /** The addresses of a name that a webhook may connect to. The connection uses these, so a later change in DNS cannot circumvent the check. */
  async #addressesOf(host: string): Promise<readonly string[]> {
    const found = isIP(host) === 0 ? await this.#resolve(host) : [host];
    const allowed = found.filter((address) => mayConnect(address, host, this.#allow));
    if (found.length === 0) throw new SendingError('the host name has no address');
    if (allowed.length === 0) throw new SendingError('the address of the host is not on the public internet, and WEBHOOK_ALLOW does not name it');
    return allowed;
  }

  #exchange(url: URL, socket: Socket, { type, body }: Delivery, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Pick<Outcome, 'status' | 'excerpt' | 'retryAfter'>> {
    return new Promise((resolve, reject) => {
      const request = httpRequest({
        createConnection: () => socket, method: 'POST', path: `${url.pathname}${url.search}`, signal,
        headers: { host: url.host, 'content-type': type, 'content-length': body.length, 'user-agent': 'Tidings', connection: 'close', ...headers },
      });
      request.on('error', reject);
      // For example if the answer switches to another protocol.
      request.on('close', () => reject(new SendingError('the connection was closed without an answer')));
      request.on('response', (response) => this.#read(response, resolve));
      request.end(body);
    });
  }

  /** Resolves with the status and an excerpt, even if the rest of the answer is missing or malformed. */
  #read(response: IncomingMessage, resolve: (answer: Pick<Outcome, 'status' | 'excerpt' | 'retryAfter'>) => void): void {
    const kept: Buffer[] = [];
    let bytes = 0;
    const done = (): void => {
      timer.cancel();
      resolve({ status: response.statusCode, excerpt: Buffer.concat(kept).subarray(0, EXCERPT_MAX_BYTES).toString(), retryAfter: response.headers['retry-after'] });
      response.destroy();
    };
    const timer = this.#clock.after(ANSWER_REST_MS, done);
    response.on('data', (chunk: Buffer) => {
      if (bytes < EXCERPT_MAX_BYTES) kept.push(chunk.subarray(0, EXCERPT_MAX_BYTES));
      bytes += chunk.length;
      if (bytes > RECEIVER_ANSWER_MAX_BYTES) done();
    });
    response.on('end', done);
    response.on('error', done);
    response.on('close', done);
  }
}

/** An error whose message administrators may see. */
class SendingError extends Error {
  override name = 'SendingError';
}

function reasonOf(error: unknown): string {
  if (error instanceof SendingError) return error.message;
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' ? code : 'the request failed';
}

/** Connects to one of the addresses, over TLS if the URL is https. */
function connected(url: URL, addresses: readonly string[], signal: AbortSignal): Promise<Socket> {
  const host = hostOf(url);
  const lookup: LookupFunction = (_host, _options, callback) => callback(null, addresses.map((address) => ({ address, family: isIP(address) })));
  const isTls = url.protocol === 'https:';
  const port = url.port === '' ? (isTls ? 443 : 80) : Number(url.port);
  const options = { host, port, lookup, autoSelectFamily: true };
  const socket = isTls ? tlsConnect({ ...options, ...(isIP(host) === 0 ? { servername: host } : {}), ALPNProtocols: ['http/1.1'] }) : connect(options);
  return new Promise((resolve, reject) => {
    const give = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    const abort = (): void => give(new SendingError('ended'));
    signal.addEventListener('abort', abort, { once: true });
    socket.on('error', give);
    socket.once('close', () => reject(new SendingError('the connection was closed')));
    socket.once(isTls ? 'secureConnect' : 'connect', () => {
      signal.removeEventListener('abort', abort);
      resolve(socket);
    });
  });
}

/** Rejects if the signal aborts first. */
async function raced<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const ended = Promise.withResolvers<never>();
  const end = (): void => ended.reject(new SendingError('ended'));
  if (signal.aborted) end();
  signal.addEventListener('abort', end, { once: true });
  try {
    return await Promise.race([promise, ended.promise]);
  } finally {
    signal.removeEventListener('abort', end);
  }
}

/**
 * Asks the DNS servers directly. The system's `getaddrinfo` would block threads of Node's small pool, which also reads files: a few names whose servers hang would stop all of them. Only hosts in
 * WEBHOOK_ALLOW go through the system, because they may be in the machine's hosts file.
 */
function resolverOf(allow: WebhookAllow): (host: string) => Promise<readonly string[]> {
  const resolver = new Resolver({ timeout: DNS_WAIT_MS, tries: DNS_TRIES_FACTOR });
  return async (host) => {
    if (allow.hosts.has(host) || host === 'localhost') return (await systemLookup(host, { all: true })).map(({ address }) => address);
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    return answers.flatMap((answer) => answer.status === 'fulfilled' ? answer.value : []);
  };
}
