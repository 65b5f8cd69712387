import { requestBytes } from '../../support/raw.ts';

/** Attempts to get at what a credential does not allow, as they are sent, byte by byte. */

export type Headers = Readonly<Record<string, string>>;

/** Who there is, what each may do, and what is there. */
export interface Facts {
  /** Publishes to and reads `user.alice.>`; reads `café.>` (composed) and `a.*.c`, too. It is the attacker's own key. */
  readonly alice: string;
  readonly aliceId: string;
  /** Publishes to and reads `user.bob.>`. */
  readonly bob: string;
  readonly bobId: string;
  /** Its digest is stored. */
  readonly bobDigest: string;
  /** Publishes to and reads everything. */
  readonly watcher: string;
  /** Administers. */
  readonly root: string;
  /** Of a message of bob's, in `user.bob.inbox`. */
  readonly message: string;
  /** Where the instance is: a loopback name with a port. */
  readonly host: string;
}

/** The data of bob's message. No attempt may get it. */
export const BOBS_SECRET = 'the combination is 4711';

/** The cookie that may hold a credential, and a page that may use it. */
export const COOKIE = 'session';
export const APP = 'https://app.example';

export interface Attempt {
  /** What it tries. */
  readonly what: string;
  /** All that is sent on one connection. */
  readonly bytes: Buffer;
  /** The status of every answer, in order. */
  readonly statuses: readonly number[];
  /** The method of every request. */
  readonly methods: readonly string[];
  /** The same with what was missing: it succeeds, so the attempt could have. */
  readonly control: Buffer | undefined;
}

/** Makes a request from what it is sent with. */
export type Request = (headers: Headers) => Buffer;

export const bearer = (credential: string): Headers => ({ Authorization: `Bearer ${credential}` });
export const cookie = (credential: string, more: Headers = {}): Headers => ({ Cookie: `${COOKIE}=${credential}`, ...more });

export const get = (path: string): Request => (headers) => requestBytes('GET', path, headers);
export const head = (path: string): Request => (headers) => requestBytes('HEAD', path, headers);
export const remove = (path: string): Request => (headers) => requestBytes('DELETE', path, headers);
export const post = (path: string, body = 'from a stranger', more: Headers = {}): Request => (headers) => requestBytes('POST', path, { ...more, ...headers }, body);
export const batch = (body: string, type = 'application/json'): Request => post('/messages', body, { 'Content-Type': type });

export const patch = (path: string, body: string): Request => (headers) => requestBytes('PATCH', path, headers, body);

/** Prolongs a stream that is not there. */
export const RENEWAL = post('/streams/x/credential', `{"secret":"${'x'.repeat(22)}"}`);

/** One request that is refused with `wrong`, and carried out with `right`. */
export function refused(what: string, request: Request, status: number, wrong: Headers, right?: Headers): Attempt {
  return { what, bytes: request(wrong), statuses: [status], methods: [methodOf(request({}))], control: right === undefined ? undefined : request(right) };
}

function methodOf(bytes: Buffer): string {
  return bytes.toString('latin1').split(' ', 1)[0]!;
}
