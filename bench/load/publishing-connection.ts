import { connect, type Socket } from 'node:net';
import { Answers } from './answers.ts';

/** What is told of requests: those that were answered, and those that were not. */
export interface Publishes {
  answered(status: number, due: number, topic: number, seq: number, messages: number): void;
  failed(reason: string, topic: number, seq: number, messages: number): void;
}

/** Requests on one connection that wait for an answer: stops a server that answers nothing from filling the memory. */
const PENDING_MAX = 20_000;
/** A connection that broke, or was refused, is tried again after so long. */
const RETRY_MS = 100;
/** Numbers of one pending request: when it was due, topic, number, messages. */
const FIELDS = 4;

const shared = Buffer.allocUnsafeSlow(64 * 1024);

/** A keep-alive connection that publishes; it comes back when it was lost. */
export class PublishingConnection {
  /** Called when nothing waits for an answer any more, and the connection is there. */
  whenIdle: (() => void) | undefined;
  readonly #port: number;
  readonly #told: Publishes;
  #socket: Socket | undefined;
  #isConnected = false;
  #answers: Answers;
  /** A ring: first in, first out. */
  readonly #pending = new Float64Array(PENDING_MAX * FIELDS);
  #first = 0;
  #count = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #connectedWaiters: (() => void)[] = [];
  #idleWaiters: (() => void)[] = [];

  constructor(port: number, told: Publishes) {
    this.#port = port;
    this.#told = told;
    this.#answers = this.#newAnswers();
    this.#connect();
  }

  /** Resolves when it is connected, or was refused for the first time. */
  connected(): Promise<void> {
    return this.#isConnected ? Promise.resolve() : new Promise((resolve) => this.#connectedWaiters.push(resolve));
  }

  /** Resolves when nothing waits for an answer. */
  idle(): Promise<void> {
    return this.#count === 0 ? Promise.resolve() : new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  send(bytes: Buffer, due: number, topic: number, seq: number, messages: number): void {
    if (!this.#isConnected || this.#count === PENDING_MAX) {
      this.#told.failed(this.#isConnected ? 'too many answers to wait for' : 'not connected', topic, seq, messages);
      return;
    }
    const at = (this.#first + this.#count++) % PENDING_MAX * FIELDS;
    this.#pending[at] = due;
    this.#pending[at + 1] = topic;
    this.#pending[at + 2] = seq;
    this.#pending[at + 3] = messages;
    this.#socket!.write(bytes);
  }

  /** What waits for an answer has failed. */
  giveUp(reason: string): void {
    while (this.#count > 0) {
      const at = this.#take();
      this.#told.failed(reason, this.#pending[at + 1]!, this.#pending[at + 2]!, this.#pending[at + 3]!);
    }
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #connect(): void {
    this.#answers = this.#newAnswers();
    const socket: Socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true, onread: { buffer: shared, callback: (length) => this.#read(socket, length) } });
    let reason = 'ended';
    this.#socket = socket;
    socket.once('connect', () => {
      this.#isConnected = true;
      for (const resolve of this.#connectedWaiters.splice(0)) resolve();
      this.whenIdle?.();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      reason = error.code ?? error.message;
    });
    socket.once('close', () => {
      this.#isConnected = false;
      this.giveUp(reason);
      for (const resolve of this.#connectedWaiters.splice(0)) resolve();
      if (!this.#isClosed) this.#timer = setTimeout(() => this.#connect(), RETRY_MS);
    });
  }

  #read(socket: Socket, length: number): boolean {
    try {
      this.#answers.read(shared.subarray(0, length));
    } catch (error) {
      socket.destroy(error instanceof Error ? error : new Error(String(error)));
    }
    return true;
  }

  #newAnswers(): Answers {
    return new Answers((status) => {
      if (this.#count === 0) throw new Error('an answer that nobody asked for');
      const at = this.#take();
      this.#told.answered(status, this.#pending[at]!, this.#pending[at + 1]!, this.#pending[at + 2]!, this.#pending[at + 3]!);
      if (this.#count > 0) return;
      for (const resolve of this.#idleWaiters.splice(0)) resolve();
      this.whenIdle?.();
    });
  }

  /** Where the oldest stands; it is no more pending. */
  #take(): number {
    const at = this.#first * FIELDS;
    this.#first = (this.#first + 1) % PENDING_MAX;
    this.#count--;
    return at;
  }
}
