import type { TailListener } from '../log/tail.ts';
import type { Message } from '../model/message.ts';
import type { Group } from './audience.ts';
import type { Catchup } from './catchup.ts';
import { Sweep, WRITE_BYTES, type SweepOptions } from './sweep.ts';

/** Bounds what waits to be written altogether, and so for how long messages are held that the tail has let go. Bytes of data. */
const WAITING_BYTES = 1024 * 1024;

/**
 * After a sweep there is none for a part of the time that it took, and for that time again for each message by which a write had more than one, up to so
 * many times. So sweeps take four fifths of the time at most where they can keep up with one write for each message; and where they cannot, a fifth.
 */
const REST_TIMES_MIN = 0.25;
const REST_TIMES_MAX = 4;
/** But no rest is longer than this: what a message may be late by for it, however many readers there are. Milliseconds. */
const REST_MAX_MS = 20;
/** How long readers are written to before the event loop goes on with other things: so long may a publisher wait for a sweep. Milliseconds. */
const PART_MS = 4;

/**
 * New messages to the readers that are live.
 *
 * The cost of delivery is in the writes to sockets, hardly in the messages. So messages are put on a list of each group that wants them, and
 * from time to time a sweep makes one buffer of each list and writes that to every reader of the group. Per reader and message nothing
 * is done at all.
 *
 * A sweep begins at the end of the turn of the event loop in which a message came, unless the last one was a moment ago: each is followed
 * by a rest that is measured by what it took. Where a sweep for each message leaves time to spare, a rest is over before the next message comes,
 * and nothing waits. Where it does not, messages gather in the rests, and each that shares a write makes the next rest longer,
 * until little of the time is spent on sweeps, whatever is published. A rest of fixed length would be a delay for those who have few readers, and too short for those
 * who have many.
 *
 * Long sweeps are taken in parts. Therefore a live reader is at the end of the tail only while nothing waits for its group and it is not being
 * swept; `Group.isWaiting` says so, and who would write anything else to a reader asks it, or calls `flush` first. So nothing
 * overtakes a message (invariant 4).
 */
export class Fanout implements TailListener {
  readonly #with: SweepOptions;
  readonly #catchup: Catchup;
  /** Groups for which messages wait. */
  #waiting: Group[] = [];
  #bytes = 0;
  #sweep: Sweep | undefined;
  /** When the rest after the last sweep is over. */
  #restUntil = 0;
  #scheduled = false;

  constructor({ catchup, ...others }: SweepOptions & { catchup: Catchup }) {
    this.#catchup = catchup;
    this.#with = others;
  }

  append(message: Message): void {
    let isFull = false;
    this.#with.audience.match(message.topic, (group) => {
      if (!group.isListed) this.#waiting.push(group);
      group.add(message);
      isFull ||= group.bytes >= WRITE_BYTES;
    });
    if (this.#waiting.length === 0) return;
    this.#bytes += message.data.length;
    if (isFull || this.#bytes >= WAITING_BYTES) this.flush();
    else this.#schedule();
  }

  /** Writes everything that waits, at once. */
  flush(): void {
    if (this.#sweep !== undefined) this.#goOn(Infinity);
    if (this.#waiting.length === 0) return;
    this.#begin();
    this.#goOn(Infinity);
  }

  disturb(change: () => void): void {
    this.flush();
    for (const group of this.#with.audience.groups) for (const reader of group.readers) reader.fallBehind();
    change();
    for (const group of this.#with.audience.groups) {
      for (const reader of group.readers) this.#catchup.resume(reader);
      group.wake();
      this.#with.audience.leave(group);
    }
  }

  renew(): void {
    for (const group of this.#with.audience.groups) {
      for (const reader of group.readers) {
        // The tail's own end is judged by the tail, and with it whoever stands there. Who came here from further on, before the log was
        // exchanged, would otherwise wait there for numbers that are others' by now.
        if (!reader.live || reader.seq <= this.#with.tail.last) continue;
        reader.fallBehind();
        this.#catchup.resume(reader);
      }
    }
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const rest = this.#sweep === undefined ? this.#restUntil - this.#with.clock.monotonic() : 0;
    if (rest > 0) this.#with.clock.after(Math.ceil(rest), this.#turn);
    else this.#with.clock.soon(this.#turn);
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    if (this.#sweep === undefined && this.#waiting.length > 0) {
      // There may have been a flush since, and a new rest with it.
      if (this.#with.clock.monotonic() < this.#restUntil) return this.#schedule();
      this.#begin();
    }
    if (this.#sweep !== undefined) this.#goOn(PART_MS);
    if (this.#sweep !== undefined || this.#waiting.length > 0) this.#schedule();
  };

  #begin(): void {
    this.#sweep = new Sweep(this.#waiting, this.#with);
    this.#waiting = [];
    this.#bytes = 0;
  }

  #goOn(milliseconds: number): void {
    const sweep = this.#sweep!;
    if (!sweep.goOn(milliseconds)) return;
    this.#sweep = undefined;
    const times = Math.min(Math.max(0, sweep.shared - 1) + REST_TIMES_MIN, REST_TIMES_MAX);
    this.#restUntil = this.#with.clock.monotonic() + Math.min(times * sweep.cost, REST_MAX_MS);
  }
}
