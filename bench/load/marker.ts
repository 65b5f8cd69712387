/**
 * What a published message says about itself, at the beginning of its data, in a fixed number of bytes: `~#~`, then decimal digits, then `~`.
 * Neither JSON nor SSE has to escape any of it, and nothing else on the wire looks like it.
 */

export const MAGIC = Buffer.from('~#~');
/** Where its numbers begin. */
const RUN = 3;
const TOPIC = RUN + 4;
const SEQ = TOPIC + 6;
const TIME = SEQ + 8;
const END = TIME + 10;
export const MARKER_BYTES = END + 1;

export const RUNS = 10_000;
export const TOPICS_MAX = 1_000_000;
/** Of one topic in one run. */
export const SEQ_MAX = 100_000_000;
/** Microseconds of a run: almost three hours. */
export const TIME_MAX = 10_000_000_000;

const ZERO = 48;
const TILDE = 126;
const HASH = 35;

/** Everything but `seq` and `time`, which `stamp` writes. */
export function makeMarker(run: number, topic: number): string {
  return `${MAGIC.toString()}${String(run).padStart(4, '0')}${String(topic).padStart(6, '0')}${'0'.repeat(18)}~`;
}

/** @param time Microseconds since the run's base. */
export function stamp(bytes: Uint8Array, marker: number, seq: number, time: number): void {
  writeDigits(bytes, marker + SEQ, 8, seq);
  writeDigits(bytes, marker + TIME, 10, time);
}

export function writeDigits(bytes: Uint8Array, at: number, digits: number, value: number): void {
  let left = value;
  for (let place = at + digits - 1; place >= at; place--) {
    const rest = Math.floor(left / 10);
    bytes[place] = ZERO + left - rest * 10;
    left = rest;
  }
}

export function isMarker(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === TILDE && bytes[at + 1] === HASH && bytes[at + 2] === TILDE && bytes[at + END] === TILDE;
}

export function runOf(bytes: Uint8Array, marker: number): number {
  return four(bytes, marker + RUN);
}

export function topicOf(bytes: Uint8Array, marker: number): number {
  return four(bytes, marker + TOPIC) * 100 + two(bytes, marker + TOPIC + 4);
}

export function seqOf(bytes: Uint8Array, marker: number): number {
  return four(bytes, marker + SEQ) * 10_000 + four(bytes, marker + SEQ + 4);
}

export function timeOf(bytes: Uint8Array, marker: number): number {
  return (four(bytes, marker + TIME) * 10_000 + four(bytes, marker + TIME + 4)) * 100 + two(bytes, marker + TIME + 8);
}

function four(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 1000 + bytes[at + 1]! * 100 + bytes[at + 2]! * 10 + bytes[at + 3]! - ZERO * 1111;
}

function two(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 10 + bytes[at + 1]! - ZERO * 11;
}
