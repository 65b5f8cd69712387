import { connect, type Socket } from 'node:net';
import { within, type Clock, type Timer } from '../../runtime/clock.ts';
import { guardSocket } from '../../runtime/sockets/guarded-socket.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import type { HubCall, HubCalls } from './calls.ts';
import { FrameWriter } from './frame-writer.ts';
import { ANSWERED_FRAME_MAX_BYTES, FRAME, frameOf, framesIn, HUB_VERSION, hubFraming, jsonFrame } from './frames.ts';

/** The first and the longest wait before reconnecting. Each wait is twice the one before, less a random part of up to half, so that workers do not all connect at once. */
const HUB_RECONNECT_FIRST_MS = 50;
const HUB_RECONNECT_MAX_MS = 2_000;

/** How often the hub is pinged. */
const HUB_PING_INTERVAL_MS = 1_000;

/** After more unanswered pings, the connection is closed. It counts pings, not time, because this worker itself may have been frozen. */
const SILENT_MAX_REQUESTS = 5;

/** The most questions that wait for answers. Stops a hub that hangs from filling the memory. */
const ASKED_MAX_REQUESTS = 1_000;

/** How long a stopping process waits until the hub has read its last frames. */
export const HUB_CLOSE_MAX_MS = 500;

/** The hub did not answer. */
export class HubAway extends Error {
  override name = 'HubAway';
}

/** The hub refused a malformed question. To repeat it is useless. */
export class HubRefused extends HubAway {
  override name = 'HubRefused';
}

/** A user of the connection, such as the bus or the limit ledger. */
export interface HubUser {
  /** Called when the connection is ready, again after each reconnection. The hub then has no state of this worker. */
  readonly onReady: () => void;
  /** Called when the connection is lost. It reconnects by itself. */
  readonly onLost: () => void;
  /** Called for each frame that is no answer. */
  readonly onFrame?: (kind: number, body: Buffer) => void;
  /** Called before the connection closes, because its last user detached. */
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
 * The connection of a worker to the hub. Its users (the bus, the presence place and the limit ledger) share it. It opens with the first user and closes with the last. It reconnects by itself, and
 * queues nothing while the hub is away: new questions are rejected, and unanswered questions too.
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
  /** The reason in the last warning; undefined after the hub was up again. */
  #loggedReason: string | undefined;

  constructor({ path, clock, logger }: HubConnectionOptions) {
    this.#path = path;
    this.#clock = clock;
    this.#logger = logger;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Adds a user. Never throws, and never calls the user's methods before it returns. */
  attach(user: HubUser): void {
    this.#users.add(user);
    if (this.#isReady) this.#clock.soon(() => {
      if (this.#isReady && this.#users.has(user)) user.onReady();
    });
    else if (this.#socket === undefined && this.#retry === undefined) this.#open();
  }

  /** Adds a follower: a user that neither opens the connection nor keeps it open, and never detaches. */
  follow(user: HubUser): void {
    this.#followers.add(user);
    if (this.#isReady) this.#clock.soon(() => {
      if (this.#isReady) user.onReady();
    });
  }

  /** Removes a user. With the last user, closes the connection, after the hub has read all frames or `HUB_CLOSE_MAX_MS`. */
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

  /** Rejects with `HubAway` without an answer, and with `HubRefused` if the question is malformed. */
  ask<Name extends HubCall>(name: Name, argument: HubCalls[Name]['argument']): Promise<HubCalls[Name]['value']> {
    return this.#isReady ? this.#ask(name, argument) : Promise.reject(new HubAway('the hub is away'));
  }

  /** Sends a commit or a note, or drops it if the hub is away or does not read. */
  hint(kind: typeof FRAME.commit | typeof FRAME.note | typeof FRAME.noteToOne, body: Uint8Array): void {
    if (this.#isReady) this.#writer!.hint(frameOf(kind, body));
  }

  /** Closes a connection that is open but useless. Then it reconnects. */
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
    // A half-open connection is useless.
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
    // The cast is safe: `#greet` has checked that the hub has the same version.
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

/** Ignores `HubAway`, because the connection calls `onLost` itself. */
export function awayOnly(error: unknown): undefined {
  if (!(error instanceof HubAway)) throw error;
  return undefined;
}
