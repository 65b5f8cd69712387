import type { Socket } from 'node:net';
import { scopeOf, type Identity } from '../access/credentials/identity.ts';
import type { CutReason, Lease } from '../access/leases/lease.ts';
import { CredentialsUnavailable } from '../access/records/credentials-unavailable.ts';
import type { StreamHandle } from '../access/leases/stream-handles.ts';
import type { TicketHold } from '../access/leases/ticket-hold.ts';
import type { Reader } from '../delivery/reader/reader.ts';
import type { StreamClient } from '../delivery/reader/stream-client.ts';
import type { StreamOptions } from '../delivery/reader/stream-socket.ts';
import type { BusyReason } from '../delivery/frames/sse.ts';
import type { StartOptions, StartRequest } from '../log/history/start-position.ts';
import type { ChangeableStream } from '../fleet/topic-changes.ts';
import { FREE_PLACE, type Place } from '../limits/stream-places.ts';
import type { Start } from '../model/gap.ts';
import { presenceProblem, readProblem, type Grant } from '../model/grant.ts';
import type { Position } from '../model/position.ts';
import { Problem } from '../model/problem.ts';
import { Filter, namesBesides } from '../model/topic.ts';
import type { PresenceWatcher } from '../presence/watch.ts';
import type { NamedHolder } from '../runtime/sharing/fair-shares.ts';
import { ownText } from '../runtime/shared-texts.ts';
import { StoreError } from '../store/store.ts';
import { failedLogin } from './admission/access-rules.ts';
import type { Admission } from './admission/admission.ts';
import { clientAddress } from './admission/client-address.ts';
import { ENDPOINTS } from './admission/endpoints.ts';
import { holderOfStream } from './admission/holder.ts';
import { limitedSender } from './admission/limited-sender.ts';
import { leaveRoom } from './sockets/room-for-connections.ts';
import { STANDSTILL_MAX_MS } from './admission/server-limits.ts';
import type { Service } from './service.ts';
import type { SocketOwner } from './sockets/socket-owner.ts';

/** The parts that a stream begins with. */
export interface Beginning {
  readonly admission: Admission;
  /** The head of the response (RFC 9112); empty where the handshake of a WebSocket was answered. */
  readonly head: string;
  readonly filter: Filter;
  readonly options: StreamOptions;
  readonly wanted: StartRequest;
  /** The header `User-Agent`. */
  readonly agent: string | undefined;
  /** The start, or the reason of `$busy`. */
  readonly start: StreamStart | BusyReason;
}

/** Where a stream starts, and its place among the streams of its sender. Call `place.release()` if the stream does not begin. */
export interface StreamStart {
  readonly start: Start;
  readonly place: Place;
  /** The ticket that opens it, if one does. The place releases it, too. */
  readonly ticket: TicketHold | undefined;
}

export interface ResolveOptions extends StartOptions {
  /** Whether the header `Last-Event-ID` has a position. One in a URL does not count here: a URL may have been copied from a log. */
  readonly bringsPosition: boolean;
  /** Whether control events are sent. */
  readonly control: boolean;
  /** Whether `$presence` events are sent. */
  readonly presence: boolean;
}

/** The headers of every event stream. */
export const EVENT_STREAM_HEADERS = {
  // Some clients (Python's requests) decode text that names no charset as ISO 8859-1.
  'content-type': 'text/event-stream; charset=utf-8',
  // no-transform: a proxy that compresses would hold events back.
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
} as const;

/**
 * Finds where a stream starts, or the reason of `$busy` if none can begin now.
 * @throws Problem `forbidden`, before anything is written
 */
export async function resolveStart(service: Service, { identity, outcome, clientAddress, holder }: Admission, wanted: StartRequest, options: ResolveOptions): Promise<StreamStart | BusyReason> {
  const { starts, streams, filters, limits } = service;
  // The permissions are checked again when the client comes back.
  if (outcome.kind === 'busy') return service.draining ? 'draining' : 'unavailable';
  const forbidden = streamProblem(identity.grant, options.filter, options.presence);
  if (forbidden !== undefined) throw forbidden;
  const streamHolder = (): NamedHolder => holderOfStream(identity, clientAddress);
  if (!streams.hasRoomFor(streamHolder) || !filters.hasRoomFor(options.filter, streamHolder)) return service.draining ? 'draining' : 'full';
  if (!starts.isReady) return 'unavailable';
  const sender = limitedSender(identity, clientAddress);
  const place = sender === undefined ? FREE_PLACE : await limits.stream(sender);
  const { ticket } = identity;
  if (place === undefined && ticket === undefined) return 'too-many-streams';
  try {
    const start = await starts.resolve(wanted, { ...options, holder });
    if (ticket === undefined) return { start, place: place!, ticket };
    // Last, so that a stream that cannot begin does not take a ticket over.
    const hasPosition = options.bringsPosition && start.gap?.reason !== 'unknown-log';
    const hold = await service.tickets.use(ticket, { hasPosition, showsPosition: options.control }, holder());
    if (place !== undefined) return { start, place: bothOf(place, { release: () => service.tickets.release(hold) }), ticket: hold };
    // The client may lack a place because its last connection broke without a word. That stream ends now, and leaves its place for the next attempt.
    service.tickets.release(hold);
    return 'too-many-streams';
  } catch (error) {
    place?.release();
    if (error instanceof StoreError || error instanceof CredentialsUnavailable || (error instanceof Problem && error.status === 503)) return 'unavailable';
    throw error instanceof Problem && error.code === 'invalid-credential' ? await failedLogin(error, ENDPOINTS.streamTopics, limits, { address: clientAddress }) : error;
  }
}

/** Why a stream may not be opened. */
export function streamProblem(grant: Grant, filter: Filter, wantsPresence: boolean): Problem | undefined {
  return readProblem(grant, filter) ?? (wantsPresence ? presenceProblem(grant, filter) : undefined);
}

function bothOf(one: Place, other: Place): Place {
  return {
    release: () => {
      one.release();
      other.release();
    },
  };
}

/** An event stream, on whichever edge it was asked for: a socket and its reader. A stream that was refused has no reader. */
export class EventStream implements SocketOwner, ChangeableStream, StreamClient, PresenceWatcher {
  readonly #socket: Socket;
  readonly #service: Service;
  #reader: Reader | undefined;
  lease: Lease | undefined;
  ticket: TicketHold | undefined;
  /** 0 before it begins. */
  number = 0;
  address: string | undefined;
  agent: string | undefined;
  /** Whether `owned` has this stream: its client got the stream's name, for renewals and changes of topics. */
  #isOwned = false;
  isWatching = false;
  #place: Place = FREE_PLACE;
  #member: string | undefined;
  #isClosed = false;
  /** The name of a WebSocket's stream. An event stream sends it to its client, and forgets it. */
  handle: StreamHandle | undefined;

  constructor(socket: Socket, service: Service) {
    this.#socket = socket;
    this.#service = service;
  }

  /**
   * Writes the head of the response and the first frames, in one piece.
   * @returns False where the stream is refused; then it ends by itself.
   */
  begin(beginning: Beginning): boolean {
    const hasBegun = this.#begin(beginning);
    this.#service.counters.answer(beginning.head === '' ? 101 : 200);
    // A refused stream has no reader that would end it, so the socket's timeout does.
    if (hasBegun) leaveRoom(this.#socket);
    else this.#socket.setTimeout(STANDSTILL_MAX_MS);
    return hasBegun;
  }

  #begin({ admission: { identity, member, clientAddress }, head, filter, options, wanted, agent, start: begun }: Beginning): boolean {
    const { config, streams, leases, owned, handles, agents, presence, logger } = this.#service;
    // Check again: while the log was read, other streams may have opened, the credential may have ended, and the ticket may have been used.
    const holder = (): NamedHolder => holderOfStream(identity, clientAddress);
    const refusal = typeof begun === 'string' ? begun : this.#refusal(begun, identity, holder, filter, options);
    if (typeof begun === 'string' || refusal !== undefined) {
      if (typeof begun !== 'string') begun.place.release();
      if (head !== '') this.#socket.write(head, 'latin1');
      streams.refuse(options, this.#socket, refusal!);
      return false;
    }
    const { start, place, ticket } = begun;
    this.#place = place;
    this.ticket = ticket;
    this.number = handles.next();
    this.agent = agents.shared(agent);
    // Without a proxy the socket has the address, so the stream does not store it.
    if (config.TRUST_PROXY !== undefined) this.address = ownText(clientAddress());
    this.#isOwned = options.control || head === '';
    const handle = this.#isOwned ? owned.add(this.number, this) : undefined;
    if (head === '') this.handle = handle;
    this.#reader = streams.open(identity.grant, filter, options, this.#socket, start, { client: this, handle, holder, ...(head === '' ? {} : { head: Buffer.from(head, 'latin1') }) });
    presence.enter(filter, member);
    this.#member = member?.id;
    this.isWatching = options.presence === true;
    if (this.isWatching) presence.watch(filter, this);
    this.lease = leases.hold(identity, this);
    ticket?.begin(this);
    if (logger.isLevelEnabled('debug')) logger.debug({ client: clientAddress(), topics: filter.key, at: start.at.seq, start: wanted.kind, gap: start.gap?.reason }, 'stream opened');
    return true;
  }

  #refusal({ ticket }: StreamStart, identity: Identity, holder: () => NamedHolder, filter: Filter, options: StreamOptions): BusyReason | undefined {
    const { streams, filters, leases, draining } = this.#service;
    const full = draining ? 'draining' : 'full';
    if (!streams.hasRoomFor(holder) || !filters.hasRoomFor(filter, holder)) return full;
    if (ticket?.isLost === true) return 'taken-over';
    if (!leases.mayHold(identity, filter, options.presence)) return 'credential';
    // Last, because it evicts others: it must not do so for a stream that does not begin.
    return filters.makeRoom(filter, holder) && streams.makeRoom(holder) ? undefined : full;
  }

  get member(): string | undefined {
    return this.#member;
  }

  get credential(): string | undefined {
    return this.lease?.name;
  }

  holder(): NamedHolder {
    const owner = this.lease?.credential?.owner;
    return holderOfStream({ scope: owner === undefined ? '' : scopeOf(owner) }, () => this.address ?? clientAddress({}, this.#socket, undefined));
  }

  get ownIdentity(): StreamClient['ownIdentity'] {
    const session = this.lease?.credential?.session;
    if (this.ticket !== undefined) return { ticket: this.ticket.id, generation: this.ticket.generation };
    return session === undefined ? undefined : { session };
  }

  get filter(): Filter {
    return this.#reader!.group.filter;
  }

  get isOver(): boolean {
    return this.#reader?.isGone !== false;
  }

  get position(): Position {
    return this.#service.streams.positionOf(this.#reader!);
  }

  changeTopics(filter: Filter): Position {
    const { streams, presence } = this.#service;
    const before = this.filter;
    const position = streams.changeFilter(this.#reader!, filter);
    presence.change(before, filter, this.#member);
    if (this.isWatching) {
      presence.unwatch(new Filter(namesBesides(before, filter)), this);
      presence.watch(new Filter(namesBesides(filter, before)), this);
    }
    return position;
  }

  warn(secondsLeft: number): void {
    this.#reader!.warn(secondsLeft);
  }

  tellPresence(frame: Buffer): boolean {
    return this.#reader!.tellPresence(frame);
  }

  /** Writes a frame that names no position. Returns false where the socket is full. */
  tell(frame: Buffer): boolean {
    return this.#reader!.tell(frame);
  }

  /** Its client has sent something, so it is alive. */
  heard(): void {
    this.#reader?.heard();
  }

  cut(reason: CutReason): void {
    this.#service.counters.cut[reason]++;
    this.#service.streams.end(this.#reader!, reason === 'taken-over' ? reason : 'credential');
    // Its client comes back at once, with another credential of the same sender.
    this.#place.release();
  }

  received(): void {
    // Bytes from the client of a stream have no meaning.
  }

  ended(): void {
    this.#socket.destroySoon();
  }

  idle(): void {
    // A stream may be quiet for any time.
    if (this.#reader === undefined) this.#socket.destroy();
  }

  drained(): void {
    if (this.#reader !== undefined && !this.#isClosed) this.#service.streams.drained(this.#reader);
  }

  closed(): void {
    // A WebSocket ends before its socket does.
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#place.release();
    if (this.#isOwned) this.#service.owned.delete(this.number);
    if (this.#reader === undefined) return;
    this.#service.streams.closed(this.#reader);
    this.#service.presence.leave(this.filter, this.#member);
    if (this.isWatching) this.#service.presence.unwatch(this.filter, this);
    if (this.lease !== undefined) this.#service.leases.release(this.lease, this);
    this.#service.logger.debug({ at: this.#reader.position().seq }, 'stream closed');
  }
}
