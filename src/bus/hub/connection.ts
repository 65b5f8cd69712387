import { connect, type Socket } from 'node:net';
import { within, type Clock, type Timer } from '../../runtime/clock.ts';
import { guardSocket } from '../../runtime/sockets/guarded-socket.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import type { HubCall, HubCalls } from './calls.ts';
import { FrameWriter } from './frame-writer.ts';
import { ANSWERED_FRAME_MAX_BYTES, FRAME, frameOf, framesIn, HUB_VERSION, hubFraming, jsonFrame } from './frames.ts';

/** The first and the longest wait before reconnecting. Waits double, less a random part of up to half. Stop all workers from connecting at once to a hub that comes back. */
const HUB_RECONNECT_FIRST_MS = 50;
const HUB_RECONNECT_MAX_MS = 2_000;

/** How often the hub is asked whether it is there. */
const HUB_PING_INTERVAL_MS = 1_000;

/** How many pings may stay without an answer before the connection is given up. Pings are counted, not time, because a frozen worker has lost time itself. */
const SILENT_MAX_REQUESTS = 5;

/** Questions that wait for their answers. Stops a hub that hangs from holding memory. */
const ASKED_MAX_REQUESTS = 1_000;

/** How long the end of the process waits until the hub has the last frames. */
export const HUB_CLOSE_MAX_MS = 500;

/** The hub gives no answer. */
export class HubAway extends Error {
  override name = 'HubAway';
}

/** The hub refused the question as malformed, and would refuse it again. */
export class HubRefused extends HubAway {
  override name = 'HubRefused';
}

/** A user of the connection, such as the bus or the limit ledger. */
export interface HubUser {
  /** The hub answers, and knows nothing of this worker. Called again after every reconnection. */
  readonly onReady: () => void;
  /** The connection to the hub is lost. It reconnects by itself. */
  readonly onLost: () => void;
  /** A frame came that answers no question. */
  readonly onFrame?: (kind: number, body: Buffer) => void;
  /** The connection ends now, because nobody keeps it open. */
  readonly beforeEnd?: () => Promise<void>;
}

export interface HubConnectionOptions {
  /** The path of the hub's socket. */
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

interface Asked {
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: Error) => void;
}

/**
 * The connection of a worker to the hub. The bus, the presence place and the limit ledger share it: it opens with the first of them and closes with the last. It reconnects by itself, and
 * queues nothing while the hub is away. New questions are rejected then, and unanswered ones when the connection breaks.
 */
export class HubConnection {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  readonly #users = new Set<HubUser>();
  /** Users that do not keep the connection open. */
  readonly #followers = new Set<HubUser>();
  readonly #asked = new Map<number, Asked>();
  #question = 0;
  #socket: Socket | undefined;
  #writer: FrameWriter | undefined;
  #isReady = false;
  #silentRequests = 0;
  #failures = 0;
  #ping: Timer | undefined;
  #retry: Timer | undefined;
  /** Why the hub could not be used when that was logged last. */
  #loggedReason: string | undefined;

  constructor({ path, clock, logger }: HubConnectionOptions) {
    this.#path = path;
    this.#clock = clock;
    this.#logger = logger;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Never throws. It calls the user's methods later, never at once. */
  attach(user: HubUser): void {
    this.#users.add(user);
    if (this.#isReady) this.#clock.soon(() => {
      if (this.#isReady && this.#users.has(user)) user.onReady();
    });
    else if (this.#socket === undefined && this.#retry === undefined) this.#open();
  }

  /** As `attach`, for a user that neither opens the connection nor keeps it open, and never detaches. */
  follow(user: HubUser): void {
    this.#followers.add(user);
    if (this.#isReady) this.#clock.soon(() => {
      if (this.#isReady) user.onReady();
    });
  }

  /** Calls the user no more. The last user to leave closes the connection, after the frames written before, if the hub reads them soon. */
  async detach(user: HubUser): Promise<void> {
    if (!this.#users.delete(user) || this.#users.size > 0) return;
    this.#retry?.cancel();
    this.#retry = undefined;
    if (this.#isReady) for (const { beforeEnd } of this.#followers) await beforeEnd?.();
    const socket = this.#socket;
    if (socket === undefined) return;
    const closed = Promise.withResolvers<void>();
    socket.once('close', () => closed.resolve());
    if (this.#isReady) socket.destroySoon();
    else socket.destroy();
    if (await within(this.#clock, HUB_CLOSE_MAX_MS, closed.promise.then(() => true)) === true) return;
    socket.destroy();
    await closed.promise;
  }

  /** Rejects with `HubAway` where no answer comes, and with `HubRefused` where the question is wrong. */
  ask<Name extends HubCall>(name: Name, argument: HubCalls[Name]['argument']): Promise<HubCalls[Name]['value']> {
    return this.#isReady ? this.#ask(name, argument) : Promise.reject(new HubAway('the hub is away'));
  }

  /** Sends a commit or a note. It is dropped where the hub is away, or does not read. */
  hint(kind: typeof FRAME.commit | typeof FRAME.note | typeof FRAME.noteToOne, body: Uint8Array): void {
    if (this.#isReady) this.#writer!.hint(frameOf(kind, body));
  }

  /** Breaks a connection that is open but of no use, so that it is tried again. */
  fail(reason: string): void {
    this.#socket?.destroy(new Error(reason));
  }

  get #all(): readonly HubUser[] {
    return [...this.#users, ...this.#followers];
  }

  #open(): void {
    const socket = connect({ path: this.#path });
    const writer = new FrameWriter(socket);
    this.#socket = socket;
    this.#writer = writer;
    this.#silentRequests = 0;
    let reason = 'the hub closed the connection';
    guardSocket(socket, hubFraming(ANSWERED_FRAME_MAX_BYTES));
    socket.on('connect', () => void this.#greet(socket));
    socket.on('data', (bytes: Buffer) => this.#receive(bytes));
    socket.on('error', (error: Error) => {
      reason = error.message;
    });
    // The hub is gone as a whole: a half that is open is of no use.
    socket.on('end', () => socket.destroy());
    socket.on('close', () => this.#closed(reason));
    this.#pingLater();
  }

  async #greet(socket: Socket): Promise<void> {
    try {
      const { version } = await this.#ask('hello', { version: HUB_VERSION });
      if (socket !== this.#socket || socket.destroyed) return;
      if (version !== HUB_VERSION) {
        this.fail('the supervisor is of another version than this worker');
        return;
      }
    } catch (error) {
      awayOnly(error);
      return;
    }
    this.#isReady = true;
    this.#failures = 0;
    if (this.#loggedReason !== undefined) this.#logger.info('the hub is up again: the workers of this machine learn of each other\'s messages at once');
    this.#loggedReason = undefined;
    for (const { onReady } of this.#all) onReady();
  }

  #pingLater(): void {
    this.#ping = this.#clock.after(HUB_PING_INTERVAL_MS, () => {
      this.#pingLater();
      if (++this.#silentRequests > SILENT_MAX_REQUESTS) this.fail('the hub does not answer');
      else if (this.#isReady) this.#ask('ping', {}).catch(awayOnly);
    });
  }

  #ask<Name extends HubCall>(name: Name, argument: HubCalls[Name]['argument']): Promise<HubCalls[Name]['value']> {
    if (this.#asked.size >= ASKED_MAX_REQUESTS) return Promise.reject(new HubAway('too many questions wait for the hub'));
    const id = ++this.#question;
    const { promise, resolve, reject } = Promise.withResolvers<HubCalls[Name]['value']>();
    // The hub is of the same version, as it said in its answer to the first question.
    this.#asked.set(id, { resolve: resolve as (value: unknown) => void, reject });
    this.#writer!.talk(jsonFrame(FRAME.question, { id, name, argument }));
    return promise;
  }

  #receive(bytes: Buffer): void {
    this.#silentRequests = 0;
    const all = this.#all;
    for (const { kind, body } of framesIn(bytes)) {
      if (kind === FRAME.answer) this.#answered(body);
      else for (const { onFrame } of all) onFrame?.(kind, body);
    }
  }

  #answered(body: Buffer): void {
    const { id, value, error } = JSON.parse(body.toString()) as { readonly id: number; readonly value?: unknown; readonly error?: string };
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (error === undefined) asked?.resolve(value);
    else asked?.reject(new HubRefused(error));
  }

  /** Sends a frame that is never dropped. Call it only while the connection is ready. */
  send(frame: Buffer): void {
    this.#writer?.talk(frame);
  }

  #closed(reason: string): void {
    const wasReady = this.#isReady;
    this.#isReady = false;
    this.#socket = undefined;
    this.#writer = undefined;
    this.#ping?.cancel();
    for (const { reject } of this.#asked.values()) reject(new HubAway(reason));
    this.#asked.clear();
    if (this.#users.size === 0) {
      for (const { onLost } of this.#followers) onLost();
      return;
    }
    if (this.#loggedReason === undefined) this.#logger.warn({ reason }, 'the hub cannot be used: workers learn of each other\'s messages at their next look at the log');
    this.#loggedReason = reason;
    if (wasReady) for (const { onLost } of this.#all) onLost();
    if (this.#users.size === 0) return;
    const longest = Math.min(HUB_RECONNECT_MAX_MS, HUB_RECONNECT_FIRST_MS * 2 ** Math.min(this.#failures++, 16));
    this.#retry = this.#clock.after(longest * (0.5 + Math.random() / 2), () => {
      this.#retry = undefined;
      this.#open();
    });
  }
}

/** Handles a failed question: the connection itself tells its users when the hub is away. */
export function awayOnly(error: unknown): undefined {
  if (!(error instanceof HubAway)) throw error;
  return undefined;
}
