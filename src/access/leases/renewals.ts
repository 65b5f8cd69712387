import type { ControlChannel } from '../../bus/control-channel.ts';
import { readProblem, ScopedGrant } from '../../model/grant.ts';
import { Problem } from '../../model/problem.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';
import { orProblem } from '../../store/change-problem.ts';
import type { TicketStore } from '../../store/contracts/ticket-store.ts';
import type { Credential, Identity } from '../credentials/identity.ts';
import type { Lease, LeaseUser, Lessee } from './lease.ts';
import type { Leases } from './leases.ts';
import type { TicketHold } from './ticket-hold.ts';
import type { OwnedStreams } from './owned-streams.ts';
import { proofOf, type StreamHandles } from './stream-handles.ts';
import { WaitingRequests } from './waiting-requests.ts';

/** The kind of a note that asks for a renewal. */
const KIND = 'renew';

/** Renewals of one sender that wait for other instances. Each id that no instance knows waits for seconds: stops one sender from using up what all may ask. */
const RENEWING_MAX_REQUESTS = 100;

/** A stream that may be open by a credential. */
export interface Renewable extends LeaseUser {
  /** The lease that keeps it open; a renewal replaces it. */
  lease: Lease | undefined;
  /** The ticket that opened it, if one did: it is renewed with the stream. */
  readonly ticket?: TicketHold | undefined;
}

/** The question to the instance that holds the stream: claims, and nothing that a stranger could use again. */
interface Claims {
  readonly stream: string;
  /** The proof of the stream's secret, in hexadecimal digits. */
  readonly proof: string;
  readonly credential: Credential;
  /** The topics and patterns that may be read. */
  readonly subscribe: readonly string[];
  readonly name: string;
}

/** When the stream ends now, and the use of a ticket that it is open by; or why it was not renewed. */
type Outcome = { readonly expires: number | null; readonly ticket?: UsedTicketName } | { readonly code: 'not-found' | 'forbidden' | 'invalid-credential'; readonly detail: string };

type UsedTicketName = Pick<TicketHold, 'id' | 'generation'>;

const MISSING: Outcome = { code: 'not-found', detail: 'There is no such stream, or it has ended, or the secret is not its own.' };

const TAKEN_OVER: Outcome = { code: 'not-found', detail: 'The ticket of the stream was used again, or is gone, and was not renewed. Renew the stream that is open by it now, or get a new ticket.' };

export interface RenewalsDependencies {
  readonly leases: Pick<Leases, 'mayHold' | 'hold' | 'release'>;
  readonly control: Pick<ControlChannel, 'ask' | 'answer'>;
  readonly tickets: Pick<TicketStore, 'renewTicket'>;
  readonly handles: Pick<StreamHandles, 'read'>;
  /** Streams of this instance, also those without a credential, which cannot be renewed. */
  readonly owned: Pick<OwnedStreams<Renewable>, 'find'>;
}

/**
 * A stream outlives its credential if its client shows a new one of the same key or subject. The new one must allow all topics of the stream. The credential is
 * checked where it arrives. If another instance holds the stream, only the claims travel there, over the bus.
 */
export class Renewals {
  readonly #leases: RenewalsDependencies['leases'];
  readonly #control: RenewalsDependencies['control'];
  readonly #tickets: RenewalsDependencies['tickets'];
  readonly #handles: RenewalsDependencies['handles'];
  readonly #owned: RenewalsDependencies['owned'];
  readonly #asking = new WaitingRequests({ max: RENEWING_MAX_REQUESTS, detail: 'Too many renewals of this sender wait for other instances.' });

  constructor({ leases, control, tickets, handles, owned }: RenewalsDependencies) {
    this.#leases = leases;
    this.#control = control;
    this.#tickets = tickets;
    this.#handles = handles;
    this.#owned = owned;
    control.answer(KIND, (body) => isClaims(body) ? this.#renewHere(body) : undefined);
  }

  /**
   * Lets a stream go on by the credential of a request.
   * @param identity It has a credential.
   * @param asker Whose request it is.
   * @returns When that ends: milliseconds since 1970; undefined where it does not end by itself.
   * @throws Problem `not-found`, `forbidden`, `invalid-credential`, `stream-elsewhere`, `overloaded`, `unavailable` or `outcome-unknown`
   */
  async renew(id: string, secret: string, { credential, grant, name, scope, origin }: Identity, asker?: Holder): Promise<number | undefined> {
    const stream = this.#handles.read(id);
    if (stream === undefined || credential === undefined || origin === undefined) throw problemOf(MISSING);
    const claims: Claims = { stream: id, proof: proofOf(secret).toString('hex'), credential, subscribe: grant.readable ?? [], name: name ?? '' };
    const outcome = stream.isHere ? this.#renewHere(claims) ?? MISSING : await this.#asking.pass(scope, () => this.#control.ask(KIND, claims, asker));
    if (!isOutcome(outcome)) throw new Problem('stream-elsewhere', 'No instance that this one can reach holds the stream. Nothing is lost: the stream goes on to its end, and its client comes back to where it was, with the new credential.', { field: 'id' });
    if ('code' in outcome) throw problemOf(outcome);
    const { expires, ticket } = outcome;
    if (ticket !== undefined) {
      const { id, generation } = ticket;
      const isRenewed = await orProblem(this.#tickets.renewTicket({ id, generation, origin, session: credential.session, until: credential.expires }), {
        unknown: 'The stream goes on. Whether its ticket was renewed is unknown: try again.', unavailable: 'The stream goes on. Its ticket was not renewed: try again.',
      });
      if (!isRenewed) throw problemOf(TAKEN_OVER);
    }
    return expires ?? undefined;
  }

  /** Undefined where it is not for this instance to say. */
  #renewHere({ stream: id, proof, credential, subscribe, name }: Claims): Outcome | undefined {
    const named = this.#handles.read(id);
    if (named?.isHere !== true) return undefined;
    const found = this.#owned.find(named.number, proof);
    if (found === 'missing' || found === 'foreign') return MISSING;
    const { stream } = found;
    const before = stream.lease;
    if (before?.credential === undefined || before.isOver) return MISSING;
    if (stream.ticket?.isLost === true) return TAKEN_OVER;
    if (!isSameOwner(before.credential, credential)) return { code: 'forbidden', detail: 'The credential is of another key or subject than the one that opened the stream.' };
    const renewer: Lessee = { credential, grant: new ScopedGrant({ publish: [], subscribe }), name };
    const forbidden = readProblem(renewer.grant, stream.filter);
    if (forbidden !== undefined) return { code: 'forbidden', detail: forbidden.message };
    if (!this.#leases.mayHold(renewer, stream.filter)) return { code: 'invalid-credential', detail: 'The credential has ended.' };
    const lease = this.#leases.hold(renewer, stream, before);
    if (lease !== before) this.#leases.release(before, stream);
    stream.lease = lease;
    return { expires: credential.expires ?? null, ...(stream.ticket === undefined ? {} : { ticket: { id: stream.ticket.id, generation: stream.ticket.generation } }) };
  }
}

/** Whether two credentials are of one key, or of one subject. */
export function isSameOwner({ owner: one }: Credential, { owner: other }: Credential): boolean {
  return one.kind === 'key' ? other.kind === 'key' && other.id === one.id : other.kind === 'subject' && other.subject === one.subject;
}

function problemOf(outcome: Outcome): Problem {
  if (!('code' in outcome)) throw new TypeError('The stream was renewed');
  return new Problem(outcome.code, outcome.detail, { field: outcome.code === 'not-found' ? 'id' : 'Authorization' });
}

/** A sender that proves itself may still be a program of another version. */
function isClaims(value: unknown): value is Claims {
  if (!isObject(value)) return false;
  const { stream, proof, credential, subscribe, name } = value;
  return typeof stream === 'string' && typeof proof === 'string' && isCredential(credential) && Array.isArray(subscribe) && subscribe.every((pattern) => typeof pattern === 'string') && typeof name === 'string';
}

export function isCredential(value: unknown): value is Credential {
  if (!isObject(value) || !isObject(value['owner'])) return false;
  const { owner, session, expires } = value as { readonly owner: Readonly<Record<string, unknown>>; readonly session?: unknown; readonly expires?: unknown };
  if (!['string', 'undefined'].includes(typeof session) || !['number', 'undefined'].includes(typeof expires)) return false;
  if (owner['kind'] === 'key') return typeof owner['id'] === 'string' && typeof owner['secret'] === 'string';
  return owner['kind'] === 'subject' && typeof owner['subject'] === 'string' && typeof owner['issuedAt'] === 'number' && ['string', 'undefined'].includes(typeof owner['tokenId']);
}

function isOutcome(value: unknown): value is Outcome {
  if (!isObject(value)) return false;
  const { code, detail, expires, ticket } = value;
  return code === undefined ? (expires === null || typeof expires === 'number') && (ticket === undefined || isTicketName(ticket)) : (code === 'not-found' || code === 'forbidden' || code === 'invalid-credential') && typeof detail === 'string';
}

function isTicketName(value: unknown): value is UsedTicketName {
  return isObject(value) && typeof value['id'] === 'string' && typeof value['generation'] === 'number';
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
