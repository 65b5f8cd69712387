import type { SendQueue } from '../runtime/sockets/tcp-rows.ts';

/** The last look at a client that does not answer. */
interface Silence {
  /** When a look first saw it. By the monotonic clock, in milliseconds. */
  readonly since: number;
  /** The kernel's unanswered tries at that look, and at the last one. */
  readonly triesBefore: number;
  readonly tries: number;
  readonly bytes: number;
}

/**
 * The clients whose kernel does not answer. A client that vanished without a word leaves a connection that looks open. Heartbeats fit the kernel's send queue, and Linux
 * gives up after 16 minutes.
 *
 * The kernel of a client that only reads nothing does answer: it says that its window is closed. Each answer sets the count of tries to 0.
 */
export class GoneClients<Stream> {
  #silences = new Map<Stream, Silence>();

  /** Whether the kernel has tried again since the first look that found the client silent. */
  has(stream: Stream): boolean {
    const silence = this.#silences.get(stream);
    return silence !== undefined && silence.tries > silence.triesBefore;
  }

  /**
   * Compares this look with the one before.
   *
   * @param queues The streams that the kernel's table has. A stream that is missing counts as one that has answered.
   * @param now By the monotonic clock.
   * @returns The streams whose clients have not answered for this time in milliseconds.
   */
  look(queues: ReadonlyMap<Stream, SendQueue>, now: number, milliseconds: number): Stream[] {
    const silences = new Map<Stream, Silence>();
    for (const [stream, { bytes, unanswered: tries }] of queues) {
      if (tries === 0) continue;
      const before = this.#silences.get(stream);
      const isSame = before !== undefined && bytes >= before.bytes && tries >= before.tries;
      silences.set(stream, { since: isSame ? before.since : now, triesBefore: isSame ? before.triesBefore : tries, tries, bytes });
    }
    this.#silences = silences;
    return [...silences].filter(([stream, { since }]) => since + milliseconds <= now && this.has(stream)).map(([stream]) => stream);
  }
}
