import type { Audience, Group } from './audience.ts';
import type { Catchup } from './catchup.ts';
import type { Clock, StoreClock } from './clock.ts';
import type { Counters } from './counters.ts';
import type { Message } from './message.ts';
import { Bundle, type Reader } from './reader.ts';
import type { Tail, TailListener } from './tail.ts';

/**
 * Bounds what is written to one socket at once, and so what a socket that turns out to be full holds: of as many streams as there may be, whose
 * filters are all different, each may hold one. Larger writes cost no less. Bytes of data.
 */
const FLUSH_BYTES = 128 * 1024;

/**
 * New messages to the readers that are live.
 *
 * The cost of delivery is in the writes to sockets, not in the messages; so all messages of one turn of the event loop go to a
 * socket in one write. A message is put on the list of each group that wants it; when the turn is over, each list becomes
 * one buffer, and that buffer is written to every reader of the group. Per reader and message nothing is done at all.
 */
export class Fanout implements TailListener {
  readonly #tail: Tail;
  readonly #audience: Audience;
  readonly #catchup: Catchup;
  readonly #clock: Clock;
  readonly #storeClock: StoreClock;
  readonly #counters: Counters;
  #dirty: Group[] = [];
  #bytes = 0;
  #scheduled = false;

  constructor(options: { tail: Tail; audience: Audience; catchup: Catchup; clock: Clock; storeClock: StoreClock; counters: Counters }) {
    this.#tail = options.tail;
    this.#audience = options.audience;
    this.#catchup = options.catchup;
    this.#clock = options.clock;
    this.#storeClock = options.storeClock;
    this.#counters = options.counters;
  }

  append(message: Message): void {
    this.#audience.match(message.topic, (group) => {
      if (group.pending.length === 0) this.#dirty.push(group);
      group.pending.push(message);
    });
    if (this.#dirty.length === 0) return;
    this.#bytes += message.data.length;
    if (this.#bytes >= FLUSH_BYTES) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      this.#clock.soon(() => {
        this.#scheduled = false;
        this.flush();
      });
    }
  }

  /** Writes everything that waits. Whoever writes anything else to a reader calls this first, so that nothing is overtaken. */
  flush(): void {
    if (this.#dirty.length === 0) return;
    const dirty = this.#dirty;
    this.#dirty = [];
    this.#bytes = 0;
    const now = this.#storeClock.now();
    for (const group of dirty) this.#flushGroup(group, now);
  }

  disturb(change: () => void): void {
    this.flush();
    for (const group of this.#audience.groups) for (const reader of group.readers) reader.fallBehind();
    change();
    for (const group of this.#audience.groups) {
      for (const reader of group.readers) this.#catchup.resume(reader);
      this.#wake(group);
    }
  }

  renew(): void {
    for (const group of this.#audience.groups) {
      for (const reader of group.readers) {
        // The tail's own end is judged by the tail, and with it whoever stands there. Who came here from further on, before the log was
        // exchanged, would otherwise wait there for numbers that are others' by now.
        if (!reader.live || reader.seq <= this.#tail.last) continue;
        reader.fallBehind();
        this.#catchup.resume(reader);
      }
    }
  }

  #flushGroup(group: Group, now: number): void {
    const pending = group.pending.filter((message) => !message.isExpired(now));
    group.pending = [];
    const bundle = new Bundle(pending, this.#tail.frame);
    const first = pending[0]?.seq ?? Infinity;
    for (const reader of group.readers) {
      if (!reader.live) continue;
      // A reader may be ahead of the tail: it read the log, or came from another instance (invariant 4).
      if (reader.seq < first) reader.deliver(bundle);
      else reader.deliver(new Bundle(pending.filter((message) => message.seq > reader.seq), this.#tail.frame));
      if (reader.isBlocked) this.#leaveBehind(reader);
    }
    this.#wake(group);
  }

  #leaveBehind(reader: Reader): void {
    reader.fallBehind();
    this.#counters.fellBehind++;
  }

  #wake(group: Group): void {
    const waiters = [...group.waiters];
    group.waiters.clear();
    for (const wake of waiters) wake();
    this.#audience.leave(group);
  }
}
