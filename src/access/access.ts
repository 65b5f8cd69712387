import { timingSafeEqual } from 'node:crypto';
import { Problem, StreamEnded } from '../model/problem.ts';
import { goodSecret, hasSecret, isApiKey, readApiKey } from './credentials/api-key.ts';
import type { EndedSessions } from './records/ended-sessions.ts';
import { anonymous, EVERYBODY, Owners, scopeOf, type Identity, type PublicScope } from './credentials/identity.ts';
import type { KnownKeys } from './records/known-keys.ts';
import { CredentialsUnavailable } from './records/credentials-unavailable.ts';
import type { KnownRevocations } from './records/known-revocations.ts';
import type { KnownSessions } from './records/known-sessions.ts';
import { ScopedGrant, type Grant } from '../model/grant.ts';
import type { Holder } from '../runtime/sharing/fair-shares.ts';
import type { Purpose } from './purpose.ts';
import type { ReadSecret } from './credentials/secret-text.ts';
import { isSession, readSession } from './credentials/session-text.ts';
import { keyCredential, sessionCredential } from './leases/standing.ts';
import { isTicket, readTicket } from './tickets/ticket-text.ts';
import type { Tickets } from './tickets/tickets.ts';
import type { KeyRecord } from '../store/contracts/key-store.ts';
import { NEVER_MS } from '../store/rows/key-rows.ts';
import type { SessionOrigin, SessionRecord, TokenOrigin } from '../store/contracts/session-store.ts';
import { ENDED_BY_ADMINISTRATOR, type TicketRecord } from '../store/contracts/ticket-store.ts';

/**
 * The room `access` says who sent a request and what they may do. The text of a credential comes in, as admission found it in the request's head. An identity
 * with its grant goes out, or the problem that refuses the request. Keys are looked up in the database, and kept up to date while they are in use
 * (known-keys.ts). The room knows nothing of HTTP, and does not decide about topics: the grant does.
 */

export interface AccessSettings extends PublicScope {
  /** `off`: everybody may do everything. `on`: requests need a credential. `loopback`: open to this machine until the log has a key. */
  readonly mode: 'off' | 'on' | 'loopback';
  /** The settings admit no sender. Then the process serves only if the log has a key. */
  readonly needsKeys: boolean;
}

/** The sender of a request, or the problem that refuses it. */
type Identified = Identity | Problem;

/** A promise only where the database or an issuer has to be asked: most requests are answered in the same turn of the event loop. */
type Answer = Identified | Promise<Identified>;

/** Checks tokens; see jwt.ts. */
export interface TokenVerifier {
  /** Begins to fetch keys. */
  open(): void;
  close(): void;
  identify(token: string): Answer;
  /** The owner of a session that was made with a token; undefined if changed settings do not accept the token any more. */
  recall(origin: TokenOrigin, expires: number): Identity | undefined;
}

export interface AccessDependencies {
  readonly settings: AccessSettings;
  readonly revocations: Pick<KnownRevocations, 'isRevoked'>;
  readonly keys: Pick<KnownKeys, 'open' | 'stop' | 'isFresh' | 'refresh' | 'hasEverBeen' | 'hasBeenHeardOf' | 'askEverBeen' | 'find' | 'findAgain' | 'recall' | 'noteUse' | 'now'>;
  /** Keys that the configuration declares, by their ids. */
  readonly declared: ReadonlyMap<string, KeyRecord>;
  readonly tokens: TokenVerifier | undefined;
  /** Absent where no cookie may hold a session. */
  readonly sessions?: Pick<KnownSessions, 'open' | 'stop' | 'find'> | undefined;
  readonly endedSessions?: Pick<EndedSessions, 'has'> | undefined;
  readonly tickets: Pick<Tickets, 'find'>;
}

/** The digest of no secret. */
const NO_DIGEST = new Uint8Array(32);

const NOT_KNOWN_YET = 'Credentials cannot be checked yet: the message log is not open.';

export class Access {
  readonly #settings: AccessSettings;
  readonly #keys: AccessDependencies['keys'];
  readonly #revocations: AccessDependencies['revocations'];
  readonly #declared: ReadonlyMap<string, KeyRecord>;
  readonly #tokens: TokenVerifier | undefined;
  readonly #sessions: AccessDependencies['sessions'];
  readonly #endedSessions: AccessDependencies['endedSessions'];
  readonly #tickets: AccessDependencies['tickets'];
  /** The identity of senders without a credential, where there is access control. */
  readonly anonymous: Identity;
  readonly #owners: Owners;
  /** One identity for each session's row, so that its streams share a lease. */
  readonly #inSessions = new WeakMap<SessionRecord, { readonly owner: Identity; readonly identity: Identity }>();

  constructor({ settings, keys, revocations, declared, tokens, sessions, endedSessions, tickets }: AccessDependencies) {
    this.#settings = settings;
    this.#keys = keys;
    this.#revocations = revocations;
    this.#declared = declared;
    this.#tokens = tokens;
    this.#sessions = sessions;
    this.#endedSessions = endedSessions;
    this.#tickets = tickets;
    this.anonymous = anonymous(settings);
    this.#owners = new Owners(settings);
  }

  /** Begins with a log that was just opened. Rejects with a `StoreError`, and may be called again then. */
  async open(): Promise<void> {
    this.#tokens?.open();
    await this.#keys.open();
    await this.#sessions?.open();
  }

  stop(): void {
    this.#tokens?.close();
    this.#keys.stop();
    this.#sessions?.stop();
  }

  /** Whether no sender could come in, though the settings do not ask for that. */
  get hasNobody(): boolean {
    return this.#settings.needsKeys && this.#keys.hasBeenHeardOf === false;
  }

  /** Whether everybody may come in without a credential; undefined while it is not known whether the log has ever had a key. */
  get isOpen(): boolean | undefined {
    if (this.#settings.mode !== 'loopback') return this.#settings.mode === 'off';
    const { hasEverBeen } = this.#keys;
    return hasEverBeen === undefined ? undefined : !hasEverBeen;
  }

  /** Whether access may become closed: with the first key. */
  get mayClose(): boolean {
    return this.#settings.mode === 'loopback';
  }

  /** Whether credentials are ignored. Without access control, a credential may be meant for a proxy in front. */
  ignoresCredentials(purpose: Purpose): boolean {
    return this.#settings.mode === 'off' && (purpose === 'messages' || purpose === 'presence' || purpose === 'health' || purpose === 'operations');
  }

  /**
   * Finds the sender of a request.
   * @param credential A key, token, session or ticket, as it was sent; undefined without one, or where credentials are ignored.
   * @param from The client that a question to the database counts for.
   * @returns The problem is 401 for a bad credential, and 503 when that cannot be checked now. Health gets no problem: an unknown sender is anonymous.
   */
  identify(credential: string | undefined, purpose: Purpose, from?: () => Holder): Answer {
    if (credential === undefined) return this.#identifyNobody(purpose);
    const found = this.#identifyCredential(credential, purpose, from);
    if (purpose !== 'health') return found;
    const orNobody = (identity: Identified): Identity => identity instanceof Problem ? this.anonymous : identity;
    return found instanceof Promise ? found.then(orNobody) : orNobody(found);
  }

  #identifyCredential(credential: string, purpose: Purpose, from?: () => Holder): Answer {
    if (isSession(credential)) return this.#identifySession(credential, purpose, from);
    if (isTicket(credential)) return this.#identifyTicket(credential, purpose, from);
    if (!isApiKey(credential)) return this.#identifyToken(credential, purpose);
    const key = readApiKey(credential);
    return key === undefined ? refused('it is a malformed API key') : this.#identifyKey(key, purpose, from);
  }

  /**
   * The identity of a request with a key, without its secret. This is not a use of the key.
   * @returns The problem that such a request would get; undefined if there is no such key.
   */
  async ofKey(id: string, from?: () => Holder): Promise<Identified | undefined> {
    try {
      const record = this.#declared.get(id) ?? await this.#keys.find(id, from);
      // The newest secret is valid until its key ends.
      return record === undefined ? undefined : this.#judge(record.secrets[0]?.digest ?? NO_DIGEST, record);
    } catch (error) {
      return unavailable(error);
    }
  }

  #identifyNobody(purpose: Purpose): Answer {
    const { isOpen } = this;
    if (isOpen !== undefined) return isOpen ? EVERYBODY : this.anonymous;
    // Operators look at health and metrics while the database is away. Neither shows messages.
    if (purpose === 'health' || purpose === 'operations') return EVERYBODY;
    if (this.#keys.hasBeenHeardOf === undefined) return new Problem('unavailable', NOT_KNOWN_YET);
    return this.#keys.askEverBeen().then((hasEverBeen) => hasEverBeen ? this.anonymous : EVERYBODY, unavailable);
  }

  #identifySession(credential: string, purpose: Purpose, from?: () => Holder): Answer {
    const session = readSession(credential);
    if (this.#sessions === undefined) return refused('it is a session, and no sessions are configured', 'Cookie');
    if (session === undefined) return refused('it is a malformed session', 'Cookie');
    const found = this.#sessions.find(session.id, from);
    return found instanceof Promise
      ? found.then((record) => this.#judgeSession(session, record, purpose, from), unavailable)
      : this.#judgeSession(session, found, purpose, from);
  }

  /** A session is as good as the credential that it was exchanged for, and ends with it. */
  #judgeSession(session: ReadSecret, record: SessionRecord | undefined, purpose: Purpose, from?: () => Holder): Answer {
    if (record === undefined && this.#endedSessions?.has(session) === true) return new StreamEnded('Cookie');
    if (record === undefined || !timingSafeEqual(session.digest, record.digest)) return refused('there is no such session, or it was ended', 'Cookie');
    return this.#ownerOf(record, record, purpose, from);
  }

  /**
   * The owner of a ticket or session, by the credential that it was exchanged for.
   * @param session The session itself, or the one that the ticket was made in.
   */
  #ownerOf({ origin, expires }: { readonly origin: SessionOrigin; readonly expires: number }, session: SessionRecord | undefined, purpose: Purpose, from?: () => Holder): Answer {
    if (session !== undefined && this.#keys.now() >= session.expires) return refused('the session has expired', 'Cookie');
    const owner = origin.kind === 'key' ? this.#identifyKey({ id: origin.id, digest: origin.proof }, purpose, from) : this.#recallToken(origin, expires, purpose);
    if (session === undefined) return owner;
    return owner instanceof Promise ? owner.then((one) => this.#inSession(session, one)) : this.#inSession(session, owner);
  }

  async #identifyTicket(credential: string, purpose: Purpose, from?: () => Holder): Promise<Identified> {
    const ticket = readTicket(credential);
    if (ticket === undefined) return refused('it is a malformed ticket', 'ticket');
    try {
      return await this.#judgeTicket(ticket, await this.#tickets.find(ticket.id, from), purpose, from);
    } catch (error) {
      return unavailable(error);
    }
  }

  /** A ticket is as good as the credential that it was exchanged for, for its topics and its time. */
  async #judgeTicket({ id, digest }: ReadSecret, record: TicketRecord | undefined, purpose: Purpose, from?: () => Holder): Promise<Identified> {
    if (record === undefined || !timingSafeEqual(digest, record.digest)) return refused('there is no such ticket, or it has ended', 'ticket');
    if (record.session === ENDED_BY_ADMINISTRATOR) return new StreamEnded('ticket');
    if (this.#keys.now() >= record.ends) return refused('the ticket has ended', 'ticket');
    const { origin, session, until = NEVER_MS, topics } = record;
    const within = session === undefined ? undefined : await this.#sessions?.find(session, from);
    if (session !== undefined && within === undefined) return refused('the session of the ticket was ended', 'ticket');
    const owner = await this.#ownerOf({ origin, expires: until }, within, purpose, from);
    if (owner instanceof Problem) return owner;
    return { ...owner, grant: ticketGrant(topics, owner.grant), mayAdminister: false, mayOperate: false, ticket: { id, digest } };
  }

  /** The owner of a session, whose streams end with it. */
  #inSession(record: SessionRecord, owner: Identified): Identified {
    if (owner instanceof Problem || owner.credential === undefined) return owner;
    const known = this.#inSessions.get(record);
    if (known?.owner === owner) return known.identity;
    const identity = { ...owner, credential: sessionCredential(record, owner.credential) };
    this.#inSessions.set(record, { owner, identity });
    return identity;
  }

  #recallToken(origin: TokenOrigin, expires: number, purpose: Purpose): Answer {
    const owner = this.#tokens?.recall(origin, expires);
    return owner === undefined ? refused('the token that the session was made of is no longer good', 'Cookie') : this.#unlessRevoked(owner, purpose);
  }

  #identifyKey(key: Pick<ReadSecret, 'id'> & { readonly digest: Uint8Array }, purpose: Purpose, from?: () => Holder): Answer {
    const declared = this.#declared.get(key.id);
    if (declared !== undefined) return this.#use(key.digest, declared);
    const fits = ({ secrets }: KeyRecord): boolean => hasSecret(key.digest, secrets);
    let found = this.#keys.find(key.id, from);
    if (!(found instanceof Promise)) {
      if (found === undefined || fits(found)) return this.#use(key.digest, found);
      // Another instance may have just given it a new secret, and a browser that is refused does not come back.
      found = this.#keys.findAgain(key.id, fits, from);
    }
    return found.then((record) => this.#use(key.digest, record), (error: unknown) => {
      // Health and metrics report the database's state, so they must not need the database.
      const recalled = purpose === 'operations' || purpose === 'health' ? this.#keys.recall(key.id) : undefined;
      return recalled === undefined ? unavailable(error) : this.#use(key.digest, recalled);
    });
  }

  #identifyToken(token: string, purpose: Purpose): Answer {
    if (this.#tokens === undefined) return refused('it is no API key, and no tokens are configured');
    const found = this.#tokens.identify(token);
    return found instanceof Promise ? found.then((identity) => this.#unlessRevoked(identity, purpose)) : this.#unlessRevoked(found, purpose);
  }

  /** Accepts a token only while the list of revocations is fresh. */
  #unlessRevoked(identity: Identified, purpose: Purpose): Answer {
    if (identity instanceof Problem) return identity;
    const judge = (): Identified => {
      const owner = identity.credential?.owner;
      return owner?.kind === 'subject' && this.#revocations.isRevoked(owner) ? refused('the token was revoked') : identity;
    };
    // Health and metrics report the database's state, so they must not need the database.
    if (this.#keys.isFresh || purpose === 'operations' || purpose === 'health') return judge();
    return this.#keys.refresh().then(judge, unavailable);
  }

  #use(digest: Uint8Array, record: KeyRecord | undefined): Identified {
    const identity = this.#judge(digest, record);
    if (record !== undefined && !(identity instanceof Problem)) this.#keys.noteUse(record.id);
    return identity;
  }

  #judge(digest: Uint8Array, record: KeyRecord | undefined): Identified {
    const now = this.#keys.now();
    const secret = record === undefined ? undefined : goodSecret(digest, record.secrets, now);
    if (record === undefined || secret === undefined) return refused('there is no such API key');
    // Only a sender that knows the secret learns more.
    if (record.revoked !== undefined) return refused(`the API key ${record.id} was revoked`);
    if (record.expires !== undefined && now >= record.expires) return refused(`the API key ${record.id} has expired`);
    const { id, permissions } = record;
    const credential = keyCredential(record, secret);
    return this.#owners.known(secret) ?? this.#owners.of(secret, { permissions, scope: scopeOf(credential.owner), name: `key ${id}`, credential, origin: { kind: 'key', id, proof: secret.digest }, member: { id: record.name, meta: undefined } });
  }
}

function unavailable(error: unknown): Problem {
  if (!(error instanceof CredentialsUnavailable)) throw error;
  return new Problem('unavailable', 'Credentials cannot be checked now.', { cause: error });
}

/** Allows what both the ticket and its credential allow. After a renewal the credential may allow less than the ticket names. */
function ticketGrant(topics: readonly string[], owner: Grant): Grant {
  const named = new ScopedGrant({ publish: [], subscribe: topics });
  return { mayPublish: () => false, publishable: [], mayErase: () => false, erasable: [], mayRead: (pattern) => named.mayRead(pattern) && owner.mayRead(pattern), maySeePresence: (pattern) => named.mayRead(pattern) && owner.maySeePresence(pattern) };
}

/** The text must not help in guessing a credential. */
function refused(why: string, field = 'Authorization'): Problem {
  return new Problem('invalid-credential', `The credential is not good: ${why}.`, { field });
}
