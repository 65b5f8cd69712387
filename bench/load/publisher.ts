import { now } from './clock.ts';
import { Histogram } from './histogram.ts';
import { SEQ_MAX, stamp, TIME_MAX, TOPICS_MAX, writeDigits } from './marker.ts';
import { nameOf } from './names.ts';
import type { FloodOptions, PublishOptions } from './protocol.ts';
import { PublishingConnection, type Publishes } from './publishing-connection.ts';
import type { Outcome, Run } from './run.ts';
import { KEY_DIGITS, makeRequest, wires, type Request } from './wires.ts';

/** Answers are waited for so long after the last request. */
const ANSWER_MS = 15_000;
/** A wait that is shorter than a timer's grain is slept through: it blocks the answers, but not for longer than this. */
const SLEEP_MS = 1;

/** What a publisher needs besides the options: connections, and what each request is for. */
export interface PublishPart {
  readonly run: Run;
  readonly connections: number;
}

/** What came of the messages: their numbers, and those that were not accepted. */
class Books implements Publishes {
  readonly sent: Int32Array;
  readonly reasons: Record<string, number> = {};
  readonly answer = new Histogram();
  scheduled = 0;
  accepted = 0;
  #unaccepted: number[] = [];
  answeredAt = 0;

  constructor(topics: number) {
    this.sent = new Int32Array(topics);
  }

  answered(status: number, due: number, topic: number, seq: number, messages: number): void {
    this.answeredAt = now();
    this.answer.record((this.answeredAt - due) * 1000);
    if (status >= 200 && status <= 299) this.accepted += messages;
    else this.failed(`status ${status}`, topic, seq, messages);
  }

  failed(reason: string, topic: number, seq: number, messages: number): void {
    this.reasons[reason] = (this.reasons[reason] ?? 0) + messages;
    for (let index = 0; index < messages; index++) this.#unaccepted.push(topic, seq + index);
  }

  outcome(from: number, lateness: Histogram, cpu: NodeJS.CpuUsage): Outcome {
    const used = process.cpuUsage(cpu);
    return {
      scheduled: this.scheduled, accepted: this.accepted, refused: this.scheduled - this.accepted, reasons: this.reasons, sent: this.sent,
      unaccepted: Int32Array.from(this.#unaccepted), from, to: this.answeredAt, answer: this.answer.counts, lateness: lateness.counts, cpuMs: (used.user + used.system) / 1000,
    };
  }
}

/** The requests of a run, each made when it is first needed. */
class Requests {
  readonly #made: (Request | undefined)[];
  readonly #make: (topic: number) => Request;
  readonly #books: Books;
  readonly #base: number;
  #keys = 0;

  constructor(options: PublishOptions | FloodOptions, run: Run, books: Books) {
    const wire = wires[options.wire];
    this.#books = books;
    this.#base = run.base;
    this.#made = Array.from({ length: run.topics.count }, () => undefined);
    const key = 'key' in options && options.key === true;
    this.#make = (number) => makeRequest(wire, { run: run.number, number, topic: nameOf(run.topics.name, number), bytes: run.bytes, batch: options.batch, key });
  }

  /** The request of a topic, with the next numbers of its messages. Valid until the topic's next. */
  next(topic: number, due: number): Request {
    const request = this.#made[topic] ??= this.#make(topic);
    const time = Math.round((due - this.#base) * 1000);
    const first = this.#books.sent[topic]!;
    if (first + request.markers.length > SEQ_MAX || time >= TIME_MAX) throw new Error('the run is too long for its markers');
    for (let index = 0; index < request.markers.length; index++) stamp(request.bytes, request.markers[index]!, first + index, time);
    if (request.key !== undefined) writeDigits(request.bytes, request.key, KEY_DIGITS, this.#keys++);
    this.#books.sent[topic] = first + request.markers.length;
    this.#books.scheduled += request.markers.length;
    return request;
  }
}

/**
 * Open loop: a request is sent when it is due, however late the answers to those before it are; they are pipelined. What is due on a connection that is
 * not there, or has far too many answers to wait for, has failed.
 */
export async function publish(options: PublishOptions, { run, connections: count }: PublishPart): Promise<Outcome> {
  if (run.topics.count > TOPICS_MAX) throw new Error(`${TOPICS_MAX} topics at most`);
  const books = new Books(run.topics.count);
  const requests = new Requests(options, run, books);
  const connections = await connectAll(options.ports, count, books);
  const lateness = new Histogram();
  const cpu = process.cpuUsage();
  const perRequest = options.batch ?? 1;
  const interval = 1000 * perRequest / options.rate;
  const total = Math.round(options.rate * options.seconds / perRequest);
  const from = now() + 5;
  try {
    for (let index = 0; index < total;) {
      const at = now();
      let due = from + index * interval;
      for (; due <= at && index < total; due = from + ++index * interval) {
        const topic = index % run.topics.count;
        const seq = books.sent[topic]!;
        const { bytes } = requests.next(topic, due);
        // In order, each topic keeps to its connection.
        const connection = connections[(run.inOrder ? topic : index) % count]!;
        connection.send(Buffer.from(bytes), due, topic, seq, perRequest);
        lateness.record((now() - due) * 1000);
      }
      await until(due);
    }
    await Promise.race([Promise.all(connections.map((connection) => connection.idle())), new Promise((resolve) => setTimeout(resolve, ANSWER_MS).unref())]);
    for (const connection of connections) connection.giveUp('no answer');
    return books.outcome(from, lateness, cpu);
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Closed loop: each connection sends its next request when the last was answered. */
export async function flood(options: FloodOptions, { run, connections: count }: PublishPart): Promise<Outcome> {
  const books = new Books(run.topics.count);
  const requests = new Requests(options, run, books);
  const connections = await connectAll(options.ports, count, books);
  const cpu = process.cpuUsage();
  const from = now();
  const perRequest = options.batch ?? 1;
  let turn = 0;
  let isOver = false;
  try {
    for (const connection of connections) {
      // While it is answered, others may use the same request: the bytes on their way are the connection's own.
      let own = Buffer.alloc(0);
      connection.whenIdle = () => {
        if (isOver) return;
        const at = now();
        const topic = turn++ % run.topics.count;
        const seq = books.sent[topic]!;
        const { bytes } = requests.next(topic, at);
        if (own.length !== bytes.length) own = Buffer.allocUnsafeSlow(bytes.length);
        own.set(bytes);
        connection.send(own, at, topic, seq, perRequest);
      };
      connection.whenIdle();
    }
    await new Promise((resolve) => setTimeout(resolve, options.seconds * 1000));
    isOver = true;
    await Promise.race([Promise.all(connections.map((connection) => connection.idle())), new Promise((resolve) => setTimeout(resolve, ANSWER_MS).unref())]);
    for (const connection of connections) connection.giveUp('no answer');
    return books.outcome(from, new Histogram(), cpu);
  } finally {
    for (const connection of connections) connection.close();
  }
}

async function connectAll(ports: readonly number[], count: number, books: Books): Promise<PublishingConnection[]> {
  const connections = Array.from({ length: count }, (_, index) => new PublishingConnection(ports[index % ports.length]!, books));
  await Promise.all(connections.map((connection) => connection.connected()));
  return connections;
}

const word = new Int32Array(new SharedArrayBuffer(4));

/** To the tenth of a millisecond, which timers are not; and lets the answers in between be read. */
async function until(due: number): Promise<void> {
  const left = due - now();
  if (left > 2 * SLEEP_MS) await new Promise((resolve) => setTimeout(resolve, left - 2 * SLEEP_MS));
  else await new Promise((resolve) => setImmediate(resolve));
  const rest = due - now();
  if (rest > 0) Atomics.wait(word, 0, 0, Math.min(rest, SLEEP_MS));
}
