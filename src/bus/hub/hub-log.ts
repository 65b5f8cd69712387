import type { FrameWriter } from './frame-writer.ts';
import { FRAME, frameOf } from './frames.ts';

/** A connection that has joined. */
interface Member {
  readonly writer: FrameWriter;
}

/** What the hub has of one log: who joined its bus. */
export class HubLog {
  readonly #members = new Set<Member>();

  /** Whether nothing in it is lost when it is forgotten. */
  get isIdle(): boolean {
    return this.#members.size === 0;
  }

  join(member: Member): void {
    this.#members.add(member);
    this.#tellMembers();
  }

  leave(member: Member): void {
    if (this.#members.delete(member)) this.#tellMembers();
  }

  /** One write for each of the others, however many commits and notes came together. */
  handOn(from: Member, frames: Buffer, block: Buffer): void {
    for (const member of this.#members) if (member !== from) member.writer.hint(frames, block);
  }

  missed(from: Member): void {
    for (const member of this.#members) if (member !== from) member.writer.missed();
  }

  #tellMembers(): void {
    const count = Buffer.alloc(4);
    count.writeUInt32BE(this.#members.size);
    const frame = frameOf(FRAME.members, count);
    for (const member of this.#members) member.writer.talk(frame);
  }
}
