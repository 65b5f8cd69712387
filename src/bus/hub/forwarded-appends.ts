import type { FrameWriter } from './frame-writer.ts';
import { CALL_ID_BYTES, FRAME, FRAME_HEAD_BYTES, frameOf, HANDED, nextCallId } from './frames.ts';

/** Appends that wait for the writer's answer. Above it each worker writes its own requests. Stops a writer that hangs from filling the memory. */
const FORWARDED_MAX_REQUESTS = 1_000;

/** The most bytes that wait for a writer that does not read. Far below `WAITING_TALK_MAX_BYTES`, at which its connection would end. */
const FORWARDED_MAX_BYTES = 8 * 1024 * 1024;

/** A worker's connection to the hub. */
interface Member {
  readonly writer: FrameWriter;
}

/** An append that waits for the writer's answer. */
interface Forwarded {
  readonly from: Member;
  readonly to: Member;
  /** The sender's number of this call. Two senders may use the same number. */
  readonly senderCallId: number;
}

/**
 * Forwards the requests of workers to the worker that writes for all, and forwards its answers. The hub reads neither. It only replaces the call's number:
 *
 *     worker 2 ── append 7 ──► hub ── append 41 ──► writer
 *     worker 2 ◄─ appended 7 ─ hub ◄─ appended 41 ─ writer
 */
export class ForwardedAppends {
  /** The workers that offered to write, in order. The first of them is the writer. */
  readonly #ready = new Set<Member>();
  /** By the hub's own call numbers. */
  readonly #forwarded = new Map<number, Forwarded>();
  #writer: Member | undefined;
  #lastCallId = 0;

  join(member: Member): void {
    this.#ready.add(member);
    this.#choose(member);
  }

  leave(member: Member): void {
    if (this.#ready.delete(member)) this.#choose();
  }

  /** The connection of a worker has ended. If it was the writer, the outcome of the requests forwarded to it is unknown. */
  exit(member: Member): void {
    this.leave(member);
    for (const [callId, { from, to, senderCallId }] of this.#forwarded) {
      if (to === member) this.#sendVerdict(from, senderCallId, HANDED.lost);
      if (to === member || from === member) this.#forwarded.delete(callId);
    }
  }

  /**
   * Forwards requests to the writer.
   * @param frame A slice of `block`. Its call number is replaced in place.
   * @param block The read of the socket that `frame` is a part of.
   */
  forward(from: Member, frame: Buffer, block: Buffer): void {
    const body = frame.subarray(FRAME_HEAD_BYTES);
    const senderCallId = body.readUInt32BE();
    const to = this.#writer;
    if (to === undefined || to === from || this.#forwarded.size >= FORWARDED_MAX_REQUESTS || to.writer.waitingBytes + body.length > FORWARDED_MAX_BYTES) {
      this.#sendVerdict(from, senderCallId, HANDED.toNobody);
      return;
    }
    this.#lastCallId = nextCallId(this.#lastCallId, (callId) => this.#forwarded.has(callId));
    this.#forwarded.set(this.#lastCallId, { from, to, senderCallId });
    body.writeUInt32BE(this.#lastCallId);
    to.writer.talk(frame, block);
  }

  /** Forwards the writer's answer to the worker that sent the requests. The parameters are those of `forward`. */
  answer(member: Member, frame: Buffer, block: Buffer): void {
    const body = frame.subarray(FRAME_HEAD_BYTES);
    const callId = body.readUInt32BE();
    const forwarded = this.#forwarded.get(callId);
    if (forwarded === undefined || forwarded.to !== member) return;
    this.#forwarded.delete(callId);
    body.writeUInt32BE(forwarded.senderCallId);
    body[CALL_ID_BYTES] = HANDED.answered;
    forwarded.from.writer.talk(frame, block);
  }

  /** Makes the first worker of `#ready` the writer. Sends each its role if the writer has changed; otherwise sends a new member its own. */
  #choose(joined?: Member): void {
    const [writer] = this.#ready;
    if (writer === this.#writer) {
      if (joined !== undefined) this.#sendRole(joined);
      return;
    }
    this.#writer = writer;
    for (const member of this.#ready) this.#sendRole(member);
  }

  #sendRole(member: Member): void {
    member.writer.talk(frameOf(FRAME.writer, Buffer.from([member === this.#writer ? 1 : 0])));
  }

  #sendVerdict(member: Member, callId: number, handed: number): void {
    const body = Buffer.alloc(CALL_ID_BYTES + 1);
    body.writeUInt32BE(callId);
    body[CALL_ID_BYTES] = handed;
    member.writer.talk(frameOf(FRAME.appended, body));
  }
}
