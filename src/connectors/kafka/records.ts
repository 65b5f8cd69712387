import type { KafkaRecord, RecordsBatch } from '@platformatic/kafka';
import { isUtf8 } from 'node:buffer';
import type { Address } from '../../config/redis-url.ts';
import type { SourceRecord } from '../transport.ts';

/** A partition of a topic, and the broker that leads it. */
export interface Partition {
  readonly topic: string;
  /** The id of the topic, by which a new topic of the same name differs. Empty if the brokers have no ids. */
  readonly topicId: string;
  /** The identity in stored positions: `topicId`, or the stored identity if the brokers have no ids. */
  readonly identity: string;
  readonly index: number;
  readonly leader: Address;
  /** The partition's name in stored positions: `topic/index`. */
  readonly part: string;
}

/** Bits of a batch's attributes: it belongs to a transaction; it is a control batch, which marks a transaction's end. */
const FLAG_TRANSACTIONAL = 16;
const FLAG_CONTROL = 32;

/** The type in a control batch whose transaction was aborted. */
const ABORTED_TYPE_VALUES: number = 0;

/** One partition in an answer. */
export interface Fetched {
  readonly records?: readonly RecordsBatch[] | null;
  readonly abortedTransactions: readonly AbortedTransaction[] | null;
}

interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
}

export interface Heard {
  readonly records: readonly SourceRecord[];
  /** The offset of the next read. */
  readonly next: bigint;
}

/** The records of a partition in one answer, from an offset on, without those of aborted transactions. */
export function recordsOf(answer: Fetched, partition: Partition, from: bigint): Heard {
  const aborted = new Aborted(answer.abortedTransactions ?? []);
  const records: SourceRecord[] = [];
  let next = from;
  for (const batch of answer.records ?? []) {
    const isWanted = aborted.wants(batch);
    for (const record of isWanted ? batch.records : []) {
      const offset = batch.firstOffset + BigInt(record.offsetDelta);
      // Kafka sends whole batches, even if the read begins in the middle of one.
      if (offset >= next) records.push(recordOf(record, offset, partition));
    }
    const after = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n;
    if (after > next) next = after;
  }
  return { records, next };
}

function recordOf({ key, value, headers }: KafkaRecord, offset: bigint, { topic, identity, index, part }: Partition): SourceRecord {
  const plain: Record<string, string> = {};
  for (const [name, text] of headers) if (name !== null && text !== null && isUtf8(text)) plain[name.toString().toLowerCase()] ??= text.toString();
  return {
    part, at: { identity, position: Number(offset + 1n) },
    fields: { topic, partition: String(index), key: key === null || !isUtf8(key) ? undefined : key.toString() }, headers: plain, data: value ?? Buffer.alloc(0),
  };
}

/** Finds the batches of aborted transactions. Kafka lists the aborted transactions of an answer, and clients must skip their batches. Call `wants` for each batch, in order. */
class Aborted {
  /** Aborted transactions that begin after the batches so far. */
  readonly #later: AbortedTransaction[];
  /** The producers that are inside an aborted transaction. */
  readonly #producers = new Set<bigint>();

  constructor(transactions: readonly AbortedTransaction[]) {
    this.#later = transactions.toSorted((one, other) => Number(one.firstOffset - other.firstOffset));
  }

  wants({ firstOffset, lastOffsetDelta, attributes, producerId, records }: RecordsBatch): boolean {
    const last = firstOffset + BigInt(lastOffsetDelta);
    while (this.#later.length > 0 && this.#later[0]!.firstOffset <= last) this.#producers.add(this.#later.shift()!.producerId);
    if ((attributes & FLAG_CONTROL) !== 0) {
      // The key of a control record is a version and a type, of 16 bits each.
      const key = records[0]?.key;
      if (key !== null && key !== undefined && key.length >= 4 && key.readInt16BE(2) === ABORTED_TYPE_VALUES) this.#producers.delete(producerId);
      return false;
    }
    return (attributes & FLAG_TRANSACTIONAL) === 0 || !this.#producers.has(producerId);
  }
}
