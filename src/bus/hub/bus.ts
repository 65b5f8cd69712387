import { randomBytes } from 'node:crypto';
import type { Message } from '../../model/message.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Bus, BusListener, BusState } from '../bus.ts';
import { EnvelopeKeys } from '../envelope-keys.ts';
import { decode, encode, envelopesOf, SENDER_BYTES } from '../envelope.ts';
import { encodeNote, NoteReader } from '../note-envelope.ts';
import { WakeLimiter } from '../wake-limiter.ts';
import { awayOnly, type HubConnection, type HubUser } from './connection.ts';
import { FRAME, noteToOne } from './frames.ts';

export interface HubBusOptions {
  readonly connection: HubConnection;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'busRefused'>;
}

/** The state of the bus once it has joined a log. */
interface Joined {
  readonly logId: string;
  readonly listener: BusListener;
  readonly keys: EnvelopeKeys;
  readonly wakes: WakeLimiter;
  readonly notes: NoteReader;
}

/** The bus of the workers of one machine. Envelopes are those of the other buses, with their proofs: a program of the same user may connect to the hub too. */
export class HubBus implements Bus {
  readonly #connection: HubConnection;
  readonly #clock: Clock;
  readonly #counters: Pick<Counters, 'busRefused'>;
  readonly #sender = randomBytes(SENDER_BYTES);
  readonly #user: HubUser;
  #joined: Joined | undefined;
  #hasJoined = false;
  #members: number | undefined;
  /** The instances that listen now. A hub from older files does not say. */
  #names: ReadonlySet<string> | undefined;
  #isClosed = false;

  constructor({ connection, clock, counters }: HubBusOptions) {
    this.#connection = connection;
    this.#clock = clock;
    this.#counters = counters;
    this.#user = { onReady: () => void this.#join(), onLost: () => this.#lost(), onFrame: (kind, body) => this.#receive(kind, body) };
  }

  get state(): BusState {
    return this.#hasJoined && this.#connection.isReady && !this.#isClosed ? 'up' : 'degraded';
  }

  /** All that joined the log on this hub. One that is frozen counts until its connection ends. */
  get receivers(): number | undefined {
    return this.state === 'up' ? this.#members : undefined;
  }

  join(logId: string, listener: BusListener): void {
    const keys = new EnvelopeKeys((epoch) => listener.secretOf(epoch));
    this.#joined = { logId, listener, keys, wakes: new WakeLimiter(this.#clock, () => listener.wake()), notes: new NoteReader(this.#sender, keys) };
    this.#connection.attach(this.#user);
  }

  publish(messages: readonly Message[]): void {
    const keys = this.#joined?.keys;
    if (messages.length === 0 || keys === undefined || this.state !== 'up') return;
    for (const part of envelopesOf(messages, keys)) {
      if (part === undefined) this.wake();
      else this.#connection.hint(FRAME.commit, encode(this.#sender, part));
    }
  }

  tell(note: string, to?: string, reached?: (listening: number) => void): void {
    const joined = this.#joined;
    if (joined === undefined || this.state !== 'up') return;
    const bytes = encodeNote(note, this.#sender, joined.keys, joined.listener.sealing());
    if (bytes === undefined) return;
    if (to === undefined) this.#connection.hint(FRAME.note, bytes);
    else {
      this.#connection.hint(FRAME.noteToOne, noteToOne(to, bytes));
      if (this.#names !== undefined) reached?.(this.#names.has(to) ? 1 : 0);
    }
  }

  wake(): void {
    if (this.state === 'up') this.#connection.hint(FRAME.commit, encode(this.#sender, undefined));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#joined?.wakes.stop();
    this.#connection.ask('bus.leave', {}).catch(awayOnly);
    await this.#connection.detach(this.#user);
  }

  async #join(): Promise<void> {
    const { logId, listener } = this.#joined!;
    try {
      await this.#connection.ask('bus.join', { log: logId, instance: listener.instance });
    } catch (error) {
      awayOnly(error);
      return;
    }
    if (this.#isClosed || !this.#connection.isReady) return;
    this.#hasJoined = true;
    // Messages that were published while this worker did not listen have passed it.
    listener.wake();
  }

  #lost(): void {
    this.#hasJoined = false;
    this.#members = undefined;
    this.#names = undefined;
  }

  #receive(kind: number, body: Buffer): void {
    if (this.#isClosed) return;
    if (kind === FRAME.commit) this.#receiveCommit(body, this.#joined!);
    else if (kind === FRAME.note) this.#receiveNote(body, this.#joined!);
    else if (kind === FRAME.members && body.length === 4) this.#members = body.readUInt32BE();
    else if (kind === FRAME.names) this.#names = new Set(JSON.parse(body.toString()) as readonly string[]);
    else if (kind === FRAME.missed) {
      this.#joined!.wakes.wake();
      this.#joined!.listener.toldUnproved();
    }
  }

  #receiveCommit(body: Buffer, { listener, keys, wakes }: Joined): void {
    const envelope = decode(body, this.#sender, keys);
    if (envelope.kind === 'own') return;
    if (envelope.kind === 'messages') return listener.receive(envelope.messages);
    // It may bring a commit whose epoch this worker does not know yet.
    if (envelope.kind !== 'look') this.#counters.busRefused[envelope.kind]++;
    wakes.wake();
  }

  #receiveNote(body: Buffer, { listener, notes, wakes }: Joined): void {
    const read = notes.read(body, listener.sealing().now);
    if (read.kind === 'own') return;
    if (read.kind === 'note') return listener.told(read.note);
    this.#counters.busRefused[read.kind]++;
    // The sender may know a newer epoch than this worker, or an older one.
    if (read.kind === 'other-epoch') wakes.wake();
    listener.toldUnproved();
  }
}
