import type { FrameWriter } from './frame-writer.ts';
import { FRAME, FRAME_HEAD_BYTES, frameOf, HANDED, nextNumber } from './frames.ts';

/** Appends that wait for the writer's answer. Stops a writer that hangs from holding memory: beyond them each worker writes for itself. */
const FORWARDED_MAX_REQUESTS = 1_000;

/** The most bytes that wait for a writer that does not read. Far below the bound at which its connection would end. */
const FORWARDED_MAX_BYTES = 8 * 1024 * 1024;

const HANDED_NUMBER_BYTES = 4;

/** A connection. */
interface Member {
  readonly writer: FrameWriter;
}

interface Forwarded {
  readonly from: Member;
  readonly to: Member;
  /** By which the sender knows the answer. */
  readonly number: number;
}

/** Hands requests of workers to the one that writes, and its answers back. The hub reads neither. */
export class ForwardedAppends {
  /** The workers that can write; the first one writes. */
  readonly #ready = new Set<Member>();
  readonly #forwarded = new Map<number, Forwarded>();
  #writer: Member | undefined;
  #last = 0;

  join(member: Member): void {
    this.#ready.add(member);
    this.#choose(member);
  }

  leave(member: Member): void {
    if (this.#ready.delete(member)) this.#choose();
  }

  /** The connection of a worker has ended: the outcome of the requests handed to it is unknown. */
  exit(member: Member): void {
    this.leave(member);
    for (const [own, { from, to, number }] of this.#forwarded) {
      if (to === member) this.#tell(from, number, HANDED.lost);
      if (to === member || from === member) this.#forwarded.delete(own);
    }
  }

  /** @param frame Changed, and handed on as it lies. @param block What holds it in memory. */
  handOn(from: Member, frame: Buffer, block: Buffer): void {
    const body = frame.subarray(FRAME_HEAD_BYTES);
    const number = body.readUInt32BE();
    const to = this.#writer;
    if (to === undefined || to === from || this.#forwarded.size >= FORWARDED_MAX_REQUESTS || to.writer.waitingBytes + body.length > FORWARDED_MAX_BYTES) {
      this.#tell(from, number, HANDED.toNobody);
      return;
    }
    const own = this.#last = nextNumber(this.#last, (other) => this.#forwarded.has(other));
    this.#forwarded.set(own, { from, to, number });
    body.writeUInt32BE(own);
    to.writer.talk(frame, block);
  }

  /** Hands an answer back to the worker that sent the request. */
  answer(member: Member, frame: Buffer, block: Buffer): void {
    const body = frame.subarray(FRAME_HEAD_BYTES);
    const own = body.readUInt32BE();
    const forwarded = this.#forwarded.get(own);
    if (forwarded === undefined || forwarded.to !== member) return;
    this.#forwarded.delete(own);
    body.writeUInt32BE(forwarded.number);
    body[HANDED_NUMBER_BYTES] = HANDED.answered;
    forwarded.from.writer.talk(frame, block);
  }

  #choose(joined?: Member): void {
    const [writer] = this.#ready;
    if (writer === this.#writer) {
      if (joined !== undefined) this.#tellRole(joined);
      return;
    }
    this.#writer = writer;
    for (const member of this.#ready) this.#tellRole(member);
  }

  #tellRole(member: Member): void {
    member.writer.talk(frameOf(FRAME.writer, Buffer.from([member === this.#writer ? 1 : 0])));
  }

  #tell(member: Member, number: number, handed: number): void {
    const body = Buffer.alloc(HANDED_NUMBER_BYTES + 1);
    body.writeUInt32BE(number);
    body[HANDED_NUMBER_BYTES] = handed;
    member.writer.talk(frameOf(FRAME.appended, body));
  }
}
