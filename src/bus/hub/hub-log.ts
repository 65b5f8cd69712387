import type { Clock } from '../../runtime/clock.ts';
import type { FrameWriter } from './frame-writer.ts';
import { ForwardedAppends } from './forwarded-appends.ts';
import { FRAME, frameOf, jsonFrame } from './frames.ts';
import { LimitBook } from './limit-book.ts';
import { PresenceBoard } from './presence-board.ts';

/** A worker's connection to the hub. */
interface Member {
  readonly writer: FrameWriter;
}

/** The part of the hub for one log. */
export class HubLog {
  readonly presence: PresenceBoard;
  readonly limits: LimitBook;
  readonly appends = new ForwardedAppends();
  readonly #connections = new Set<Member>();
  /** The connections that joined the bus, with the names of their instances. */
  readonly #members = new Map<Member, string>();

  constructor(clock: Clock) {
    this.presence = new PresenceBoard(clock);
    this.limits = new LimitBook(clock);
  }

  /** Whether no connection uses this part. */
  get isIdle(): boolean {
    return this.#connections.size === 0;
  }

  enter(member: Member): void {
    this.#connections.add(member);
  }

  exit(member: Member): void {
    this.#connections.delete(member);
    this.leaveBus(member);
    this.appends.exit(member);
  }

  joinBus(member: Member, instance: string): void {
    this.#members.set(member, instance);
    this.#tellMembers();
  }

  leaveBus(member: Member): void {
    if (this.#members.delete(member)) this.#tellMembers();
  }

  /** Forwards commits and notes to all other members, each with one write. @param block The read of the socket that `frames` is a part of. */
  handOn(from: Member, frames: Buffer, block: Buffer): void {
    if (!this.#members.has(from)) return;
    for (const member of this.#members.keys()) if (member !== from) member.writer.hint(frames, block);
  }

  /** Forwards a note to one instance. */
  handTo(from: Member, instance: string, note: Buffer): void {
    if (!this.#members.has(from)) return;
    for (const [member, name] of this.#members) if (member !== from && name === instance) member.writer.hint(frameOf(FRAME.note, note));
  }

  /** The sender dropped hints: the others missed them too. */
  missed(from: Member): void {
    for (const member of this.#members.keys()) if (member !== from) member.writer.missed();
  }

  #tellMembers(): void {
    const count = Buffer.alloc(4);
    count.writeUInt32BE(this.#members.size);
    const frames = [frameOf(FRAME.members, count), jsonFrame(FRAME.names, [...this.#members.values()])];
    for (const member of this.#members.keys()) for (const frame of frames) member.writer.talk(frame);
  }
}
