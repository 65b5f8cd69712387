import type Database from 'better-sqlite3';
import { CONFLICT, DRAFT_NUMBERS, OUTCOME_NUMBERS, REPLAYED, STORED, type PackedKey, type PackedOutcomes, type PackedRequests } from './sqlite-packing.ts';
import { clock, ROW_OVERHEAD_BYTES, type LogReader, type LogRow } from './sqlite-state.ts';

interface KeyRow {
  readonly fingerprint: Buffer;
  readonly epoch: number;
  readonly first: number;
  readonly time: number;
}

/** Stores requests, inside the caller's write transaction. The driver's own statements: this is the hot path. */
export class Appender {
  readonly #log: LogReader;
  readonly #insert: Database.Statement;
  readonly #moveHead: Database.Statement;
  readonly #findKey: Database.Statement<[string, string, number], KeyRow>;
  readonly #keepKey: Database.Statement;

  constructor(db: Database.Database, log: LogReader) {
    this.#log = log;
    this.#insert = db.prepare('INSERT INTO messages (seq, epoch, time, expires, topic, event, json, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
    this.#moveHead = db.prepare('UPDATE head SET seq = ?, time = ?, bytes = ?');
    this.#findKey = db.prepare('SELECT fingerprint, epoch, first, time FROM keys WHERE scope = ? AND key = ? AND expires > ?');
    // Only a key that expired can be there already.
    this.#keepKey = db.prepare('INSERT OR REPLACE INTO keys (scope, key, fingerprint, epoch, first, time, expires) VALUES (?, ?, ?, ?, ?, ?, ?)');
  }

  append(requests: PackedRequests): { outcomes: PackedOutcomes; log: LogRow } {
    // Invariant 2: the number comes from the head row, read under the write lock that this transaction began with.
    const before = this.#log.row();
    const now = clock(before);
    const batch = new Batch(requests);
    const outcomes = new Float64Array(requests.counts.length * OUTCOME_NUMBERS);
    let { seq, bytes } = before;
    for (let request = 0; request < requests.counts.length; request++) {
      const count = requests.counts[request]!;
      const key = batch.keyOf(request);
      const known = key && this.#findKey.get(key.scope, key.key, now);
      if (key && known) {
        const same = known.fingerprint.equals(batch.fingerprint());
        outcomes.set(same ? [REPLAYED, known.epoch, known.first, known.time] : [CONFLICT, 0, 0, 0], request * OUTCOME_NUMBERS);
        batch.skip(count);
        continue;
      }
      const first = seq + 1;
      for (let index = 0; index < count; index++) bytes += this.#store(++seq, before.epoch, now, batch);
      if (key) this.#keepKey.run(key.scope, key.key, batch.fingerprint(), before.epoch, first, now, now + key.window);
      outcomes.set([STORED, before.epoch, first, now], request * OUTCOME_NUMBERS);
    }
    // Written also when nothing was stored: an empty append has to find out whether the log can be written.
    const time = seq === before.seq ? before.time : now;
    this.#moveHead.run(seq, time, bytes);
    return { outcomes, log: { ...before, seq, time, bytes } };
  }

  #store(seq: number, epoch: number, time: number, batch: Batch): number {
    const { topic, ttl } = batch;
    const data = batch.data();
    this.#insert.run(seq, epoch, time, ttl === 0 ? 0 : time + ttl * 1000, topic, batch.event, batch.json, data);
    batch.skip(1);
    return data.length + Buffer.byteLength(topic) + ROW_OVERHEAD_BYTES;
  }
}

/** Walks over packed requests: the message that comes next, and the key that comes next. */
class Batch {
  readonly #requests: PackedRequests;
  readonly #bytes: Buffer;
  #message = 0;
  #offset = 0;
  #key = 0;
  #keyOffset: number;

  constructor(requests: PackedRequests) {
    this.#requests = requests;
    this.#bytes = Buffer.from(requests.bytes);
    this.#keyOffset = requests.keys.reduce((offset, key) => offset - key.length, requests.bytes.byteLength);
  }

  get topic(): string {
    return this.#requests.topics[this.#message]!;
  }

  get event(): string | null {
    return this.#requests.events?.[this.#message] ?? null;
  }

  get ttl(): number {
    return this.#requests.numbers[this.#message * DRAFT_NUMBERS + 1]!;
  }

  get json(): number {
    return this.#requests.numbers[this.#message * DRAFT_NUMBERS + 2]!;
  }

  data(): Buffer {
    return this.#bytes.subarray(this.#offset, this.#offset + this.#length());
  }

  #length(): number {
    return this.#requests.numbers[this.#message * DRAFT_NUMBERS]!;
  }

  skip(messages: number): void {
    for (let index = 0; index < messages; index++) {
      this.#offset += this.#length();
      this.#message += 1;
    }
  }

  /** The key of a request. Requests are asked for in their order. */
  keyOf(request: number): PackedKey | undefined {
    const key = this.#requests.keys[this.#key];
    if (key === undefined || key.request > request) return undefined;
    if (key.request === request) return key;
    this.#keyOffset += key.length;
    this.#key += 1;
    return this.keyOf(request);
  }

  /** The fingerprint of the key that `keyOf` answered with. */
  fingerprint(): Buffer {
    return this.#bytes.subarray(this.#keyOffset, this.#keyOffset + this.#requests.keys[this.#key]!.length);
  }
}
