import { EVERYBODY, type Credential, type Identity } from '../access/credentials/identity.ts';
import type { Lease, Lessee } from '../access/leases/lease.ts';
import type { Leases } from '../access/leases/leases.ts';
import type { OwnedStreams } from '../access/leases/owned-streams.ts';
import { isCredential, isSameOwner, type Renewable } from '../access/leases/renewals.ts';
import { proofOf, type StreamHandles } from '../access/leases/stream-handles.ts';
import { WaitingRequests } from '../access/leases/waiting-requests.ts';
import type { ControlChannel } from '../bus/control-channel.ts';
import type { Audience } from '../delivery/audience.ts';
import { presenceProblem, readProblem, ScopedGrant, type Grant } from '../model/grant.ts';
import { formatId, type Position } from '../model/position.ts';
import { Problem, type ProblemCode } from '../model/problem.ts';
import { Filter } from '../model/topic.ts';
import type { Holder, NamedHolder } from '../runtime/sharing/fair-shares.ts';
import { isObject } from './notes.ts';
import type { Roster } from './roster.ts';

/** The kind of the question. */
const KIND = 'stream-topics';

/** The most changes of one sender that wait for other instances. Stops a sender with invalid ids, which wait until a timeout, from using up the questions of all. */
const CHANGING_MAX_REQUESTS = 100;

/** The most bytes of a changed stream's topics, and of a question, as JSON. Larger ones would not fit into a note between instances (64 KiB). */
const NAMES_MAX_BYTES = 48 * 1024;
const QUESTION_MAX_BYTES = 60 * 1024;

/** A stream whose topics its client may change. */
export interface ChangeableStream extends Renewable {
  /** Whether it was closed, or its client has gone. */
  readonly isOver: boolean;
  /** The position up to which messages were written to it. */
  readonly position: Position;
  /** The client that the memory of its topics counts against. */
  holder(): NamedHolder;
  /** Goes on with another filter from its position on. Returns that position. */
  changeTopics(filter: Filter): Position;
}

/** Topics and patterns that were checked. */
export interface TopicChange {
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

export interface ChangedTopics {
  /** All that the stream has now. */
  readonly topics: readonly string[];
  /** Up to this cursor the stream has the earlier topics, after it the new ones. */
  readonly cursor: string;
}

/** The question to the instance of the stream. It has claims and a proof, and no secret that a stranger could use. */
interface Question extends TopicChange {
  readonly stream: string;
  /** The proof of the stream's secret, in hexadecimal digits. */
  readonly proof: string;
  readonly credential?: Credential | undefined;
  readonly name?: string | undefined;
  /** The topics and patterns that may be read, and those whose listeners may be seen; absent where there is no access control. */
  readonly subscribe?: readonly string[] | undefined;
  readonly presence?: readonly string[] | undefined;
}

const REFUSAL_CODES = ['not-found', 'forbidden', 'unauthorized', 'invalid-credential', 'invalid-topic', 'overloaded'] as const satisfies readonly ProblemCode[];

interface Refusal {
  readonly code: (typeof REFUSAL_CODES)[number];
  readonly detail: string;
  readonly field: string;
}

const MISSING: Refusal = { code: 'not-found', detail: 'No instance has this stream: it has ended, or never was. Open one with the topics that are wanted.', field: 'id' };
const FOREIGN: Refusal = { code: 'forbidden', detail: 'The secret is not the one that the $open of this stream said.', field: 'secret' };

export interface TopicChangesDependencies {
  readonly owned: Pick<OwnedStreams<ChangeableStream>, 'find'>;
  readonly handles: Pick<StreamHandles, 'read'>;
  readonly leases: Pick<Leases, 'mayHold' | 'hold' | 'release'>;
  readonly filters: Pick<Audience, 'makeRoom'>;
  readonly roster: Pick<Roster, 'askOne'>;
  readonly control: Pick<ControlChannel, 'answer'>;
  readonly maxTopics: number;
}

/**
 * Changes the topics of an open stream for its client. The request may arrive at any instance, which checks the credential. The instance of the stream makes the change in one turn of the
 * event loop, so changes of one stream never overlap.
 */
export class TopicChanges {
  readonly #owned: TopicChangesDependencies['owned'];
  readonly #handles: TopicChangesDependencies['handles'];
  readonly #leases: TopicChangesDependencies['leases'];
  readonly #filters: TopicChangesDependencies['filters'];
  readonly #roster: TopicChangesDependencies['roster'];
  readonly #maxTopics: number;
  readonly #asking = new WaitingRequests({ max: CHANGING_MAX_REQUESTS, detail: 'Too many changes of this sender wait for other instances.' });

  constructor({ owned, handles, leases, filters, roster, control, maxTopics }: TopicChangesDependencies) {
    this.#owned = owned;
    this.#handles = handles;
    this.#leases = leases;
    this.#filters = filters;
    this.#roster = roster;
    this.#maxTopics = maxTopics;
    control.answer(KIND, (body) => isQuestion(body) ? this.#changeHere(body) : undefined);
  }

  /**
   * Adds topics to a stream, and removes others. To add a present topic, or remove an absent topic, changes nothing.
   * @param asker The client of the request.
   * @throws Problem `not-found`, `forbidden`, `unauthorized`, `invalid-credential`, `invalid-topic`, `overloaded` or `outcome-unknown`
   */
  async change(id: string, secret: string, { add, remove }: TopicChange, { credential, grant, name }: Pick<Identity, 'credential' | 'grant' | 'name'>, asker: Holder): Promise<ChangedTopics> {
    const stream = this.#handles.read(id);
    if (stream === undefined) throw problemOf(MISSING);
    const question: Question = { stream: id, proof: proofOf(secret).toString('hex'), add, remove, credential, name, subscribe: grant.readable ?? (credential === undefined ? undefined : []), presence: grant.presenceScope };
    const answer = stream.isHere ? this.#changeHere(question) : await this.#asking.pass(asker[0], () => this.#ask(stream.instance, question, asker));
    if (isRefusal(answer)) throw problemOf(answer);
    // An instance of another version may answer something that this one does not know.
    if (!isChanged(answer)) throw new Problem('outcome-unknown', 'The instance that has the stream answered something that this one does not understand. Ask again, or open a stream with the topics that are wanted.', { field: 'id' });
    return { topics: answer.topics, cursor: answer.cursor };
  }

  async #ask(instance: string, question: Question, asker: Holder): Promise<unknown> {
    if (bytesOf(question) > QUESTION_MAX_BYTES) throw new Problem('invalid-request', 'The change, with the topics that the credential may read, is too large for the instance that has the stream: change fewer at once.', { field: 'add' });
    const asked = await this.#roster.askOne(instance, KIND, question, asker);
    if ('answer' in asked) return asked.answer;
    if (!asked.mayExist) return MISSING;
    throw new Problem('outcome-unknown', 'The instance that has the stream did not answer. It may be of an older version, or change the stream when it goes on: ask again, or open a stream with the topics that are wanted.', { field: 'id' });
  }

  /** Undefined if another instance has the stream. */
  #changeHere({ stream: id, proof, add, remove, credential, name, subscribe, presence = [] }: Question): ChangedTopics | Refusal | undefined {
    const named = this.#handles.read(id);
    if (named?.isHere !== true) return undefined;
    const found = this.#owned.find(named.number, proof);
    if (found === 'foreign') return FOREIGN;
    if (found === 'missing' || found.stream.isOver) return MISSING;
    const { stream } = found;
    const { lease, filter, isWatching = false } = stream;
    const stranger = strangerProblem(lease, credential);
    if (stranger !== undefined) return stranger;

    const removed = new Set(remove);
    const wanted = new Filter([...filter.names.filter((one) => !removed.has(one)), ...add]);
    const count = wanted.names.length;
    if (count === 0) return { code: 'invalid-topic', detail: 'The stream would have no topic left: close it instead.', field: 'remove' };
    if (count > this.#maxTopics) return { code: 'invalid-topic', detail: `The stream would have ${count} topics, and ${this.#maxTopics} are allowed (TOPICS_PER_STREAM).`, field: 'add' };
    if (bytesOf(wanted.names) > NAMES_MAX_BYTES) return { code: 'invalid-topic', detail: `The topics of the stream would have more than ${NAMES_MAX_BYTES} bytes together.`, field: 'add' };
    const grant: Grant = subscribe === undefined && credential === undefined ? EVERYBODY.grant : new ScopedGrant({ publish: [], subscribe: subscribe ?? [], presence, isAnonymous: credential === undefined });
    const forbidden = readProblem(grant, wanted) ?? (isWatching ? presenceProblem(grant, wanted) : undefined);
    if (forbidden !== undefined) return { code: forbidden.code === 'unauthorized' ? 'unauthorized' : 'forbidden', detail: forbidden.message, field: forbidden.field ?? 'add' };
    const lessee: Lessee = { credential, grant, name };
    if (!this.#leases.mayHold(lessee, wanted, isWatching)) return { code: credential === undefined ? 'unauthorized' : 'invalid-credential', detail: 'The credential of the request has ended.', field: 'Authorization' };
    if (!this.#filters.makeRoom(wanted, () => stream.holder())) return { code: 'overloaded', detail: 'This instance has no memory for these topics now.', field: 'add' };

    this.#goOnBy(stream, lessee);
    const { epoch, seq } = wanted.key === filter.key ? stream.position : stream.changeTopics(wanted);
    return { topics: wanted.names, cursor: formatId(epoch, seq) };
  }

  /** Binds the stream to the new credential, as a renewal does: perhaps only that credential may read an added topic. */
  #goOnBy(stream: ChangeableStream, lessee: Lessee): void {
    if (lessee.credential === undefined) return;
    const before = stream.lease;
    stream.lease = this.#leases.hold(lessee, stream, before);
    if (before !== undefined && before !== stream.lease) this.#leases.release(before, stream);
  }
}

/** Why a credential may not change a stream. */
function strangerProblem(lease: Lease | undefined, credential: Credential | undefined): Refusal | undefined {
  const owner = lease?.credential;
  if (owner === undefined) return credential === undefined ? undefined : { code: 'forbidden', detail: 'The stream was opened without a credential: change it without one.', field: 'Authorization' };
  if (lease?.isOver === true) return MISSING;
  if (credential === undefined) return { code: 'unauthorized', detail: 'The stream was opened by a credential: Authorization: Bearer with a key or token of the same owner.', field: 'Authorization' };
  return isSameOwner(owner, credential) ? undefined : { code: 'forbidden', detail: 'The credential is of another key or subject than the one that opened the stream.', field: 'Authorization' };
}

function bytesOf(value: object): number {
  return Buffer.byteLength(JSON.stringify(value));
}

function problemOf({ code, detail, field }: Refusal): Problem {
  return new Problem(code, detail, { field });
}

/** Checks a question, which may be of another version. */
function isQuestion(value: unknown): value is Question {
  if (!isObject(value)) return false;
  const { stream, proof, add, remove, credential, name, subscribe, presence } = value;
  return typeof stream === 'string' && typeof proof === 'string' && isTexts(add) && isTexts(remove) && (credential === undefined || isCredential(credential))
    && (name === undefined || typeof name === 'string') && (subscribe === undefined || isTexts(subscribe)) && (presence === undefined || isTexts(presence));
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

function isRefusal(value: unknown): value is Refusal {
  return isObject(value) && REFUSAL_CODES.some((code) => code === value['code']) && typeof value['detail'] === 'string' && typeof value['field'] === 'string';
}

function isChanged(value: unknown): value is ChangedTopics {
  return isObject(value) && isTexts(value['topics']) && typeof value['cursor'] === 'string';
}
