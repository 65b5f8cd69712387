import { randomBytes } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import { isProof, proof, PROOF_BYTES, type EnvelopeKeys } from './envelope-keys.ts';
import { EPOCH_FORM, SENDER_BYTES } from './envelope.ts';

/**
 * The binary format of notes between instances, on a channel of their own:
 *
 *     version u8 | sender 8 bytes | nonce 16 bytes | expires f64 | epoch length u8 | epoch | note, UTF-8 | proof 16 bytes
 *
 * Numbers are big-endian. The proof covers all bytes before it, as that of an envelope (envelope.ts). The version shows that a note is no envelope. A note is accepted once, by its
 * nonce, and only until it expires, by the clock of the log's database. So an attacker cannot replay a note that he has read on the channel. A refused note is at most a reason to look.
 */

/** Increase it with each change of the layout. Envelopes never have such a large version. */
const NOTE_VERSION = 0xc1;

const NONCE_BYTES = 16;
const HEAD_BYTES = 1 + SENDER_BYTES + NONCE_BYTES + 8 + 1;

/** A longer note is not sent, and its question fails. Stops a fault from filling the channel. */
const NOTE_MAX_BYTES = 64 * 1024;

/** How long a note is valid. Longer than the clocks of instances differ, and than a slow Redis delays a note. */
const NOTE_GOOD_MS = 10_000;

/** Nonces that are remembered until their notes expire. Above it, notes are refused. Stops a flood of notes from filling the memory. */
const NONCES_MAX_ENTRIES = 50_000;

export type NoteRefusal = 'other-version' | 'other-epoch' | 'forged' | 'malformed' | 'late' | 'repeated';

export type NoteEnvelope =
  | { readonly kind: 'note'; readonly note: string }
  | { readonly kind: 'own' | NoteRefusal };

export interface NoteSealing {
  /** The newest epoch of the log. */
  readonly epoch: string;
  /** The clock of the log: milliseconds since 1970. */
  readonly now: number;
}

/** The envelope of a note; undefined if the note is too long or cannot be proved. */
export function encodeNote(note: string, sender: Buffer, keys: EnvelopeKeys, { epoch, now }: NoteSealing): Buffer | undefined {
  const key = keys.of(epoch);
  const text = Buffer.from(note);
  if (key === undefined || text.length > NOTE_MAX_BYTES) return undefined;
  const head = Buffer.alloc(HEAD_BYTES);
  head[0] = NOTE_VERSION;
  sender.copy(head, 1);
  randomBytes(NONCE_BYTES).copy(head, 1 + SENDER_BYTES);
  head.writeDoubleBE(now + NOTE_GOOD_MS, 1 + SENDER_BYTES + NONCE_BYTES);
  head[HEAD_BYTES - 1] = epoch.length;
  const bytes = Buffer.concat([head, Buffer.from(epoch, 'latin1'), text]);
  return Buffer.concat([bytes, proof(key, bytes)]);
}

/** Reads any bytes that came in on the channel of notes. */
export class NoteReader {
  readonly #sender: Buffer;
  readonly #keys: EnvelopeKeys;
  /** When each note expires, by its nonce, in order of arrival. */
  readonly #nonces = new Map<string, number>();

  /** @param sender The random number of this process, by which it ignores its own notes. */
  constructor(sender: Buffer, keys: EnvelopeKeys) {
    this.#sender = sender;
    this.#keys = keys;
  }

  /** Never throws. @param now The clock of the log: milliseconds since 1970. */
  read(payload: Buffer, now: number): NoteEnvelope {
    if (payload.length < 1) return { kind: 'malformed' };
    if (payload[0] !== NOTE_VERSION) return { kind: 'other-version' };
    const textAt = HEAD_BYTES + (payload[HEAD_BYTES - 1] ?? 0);
    const proofAt = payload.length - PROOF_BYTES;
    if (textAt > proofAt || proofAt - textAt > NOTE_MAX_BYTES) return { kind: 'malformed' };
    if (payload.compare(this.#sender, 0, SENDER_BYTES, 1, 1 + SENDER_BYTES) === 0) return { kind: 'own' };
    const epoch = payload.toString('latin1', HEAD_BYTES, textAt);
    if (!EPOCH_FORM.test(epoch)) return { kind: 'malformed' };
    const key = this.#keys.of(epoch);
    if (key === undefined) return { kind: 'other-epoch' };
    if (!isProof(key, payload.subarray(0, proofAt), payload.subarray(proofAt))) return { kind: 'forged' };
    const expires = payload.readDoubleBE(1 + SENDER_BYTES + NONCE_BYTES);
    // A note that expires later than that comes from a clock that is too far ahead to judge the note's age.
    if (!(expires > now && expires <= now + 2 * NOTE_GOOD_MS)) return { kind: 'late' };
    if (!this.#isNew(payload.toString('latin1', 1 + SENDER_BYTES, 1 + SENDER_BYTES + NONCE_BYTES), expires, now)) return { kind: 'repeated' };
    const text = payload.subarray(textAt, proofAt);
    return isUtf8(text) ? { kind: 'note', note: text.toString() } : { kind: 'malformed' };
  }

  #isNew(nonce: string, expires: number, now: number): boolean {
    if (this.#nonces.has(nonce)) return false;
    for (const [old, end] of this.#nonces) {
      if (end > now) break;
      this.#nonces.delete(old);
    }
    if (this.#nonces.size >= NONCES_MAX_ENTRIES) return false;
    this.#nonces.set(nonce, expires);
    return true;
  }
}
