import type { Bus, BusListener } from '../../src/bus/bus.ts';
import { EnvelopeKeys } from '../../src/bus/envelope-keys.ts';
import { carriedOf, decode, encode, SENDER_BYTES } from '../../src/bus/envelope.ts';
import { Message } from '../../src/model/message.ts';
import type { Troubles } from './trouble.ts';
import type { Place, World } from './world.ts';

/** How well a bus carries, besides its troubles: which part of what is sent is lost, comes twice, is late by up to so long, is a wake-up only, or has a forger say something else first. */
export interface BusQuality {
  readonly lost: number;
  readonly doubled: number;
  readonly late: number;
  readonly lateMs: number;
  readonly wakes: number;
  readonly forged: number;
}

export const QUALITIES = {
  good: { lost: 0, doubled: 0, late: 0, lateMs: 0, wakes: 0, forged: 0 },
  mixed: { lost: 0.1, doubled: 0.2, late: 0.3, lateMs: 100, wakes: 0.1, forged: 0.1 },
  bad: { lost: 0.4, doubled: 0.3, late: 0.5, lateMs: 2500, wakes: 0.1, forged: 0.2 },
} as const satisfies Record<string, BusQuality>;

/** How long a message takes that is not late. Milliseconds. */
const USUAL_MS = 2;
/** How late everything is while the bus has the trouble `late`: up to so much. Milliseconds. */
const VERY_LATE_MS = 4000;

/** The sender of every envelope, and the receiver: nobody hears itself here. */
const SENDER = Buffer.alloc(SENDER_BYTES, 1);
const RECEIVER = Buffer.alloc(SENDER_BYTES, 2);
/** What a forger has, who cannot read the log. */
const FORGER_KEYS = new EnvelopeKeys(() => 'f'.repeat(64));
const FORGED = Buffer.from('forged');

interface Member {
  readonly instance: number;
  readonly place: Place;
  readonly listener: BusListener;
  readonly keys: EnvelopeKeys;
}

/** What the buses of all instances are connected to. */
export class Exchange {
  readonly #world: World;
  readonly #troubles: Troubles;
  quality: BusQuality;
  #members: Member[] = [];

  constructor(world: World, troubles: Troubles, quality: BusQuality) {
    this.#world = world;
    this.#troubles = troubles;
    this.quality = quality;
  }

  join(member: Member): void {
    this.#members = [...this.#members.filter(({ place }) => !place.isGone), member];
  }

  send(from: Place, messages: readonly Message[], keys: EnvelopeKeys): void {
    const isForged = this.#world.chance('forger').next() < this.quality.forged;
    const others = this.#members.filter(({ place }) => place !== from && !place.isGone);
    if (others.length === 0) return;
    const payload = encode(SENDER, carriedOf(messages, keys));
    for (const member of others) {
      if (isForged) this.#forge(member, messages);
      this.#carry(member, payload);
    }
  }

  wake(from: Place): void {
    for (const member of this.#members) if (member.place !== from && !member.place.isGone) this.#carry(member, encode(SENDER, undefined));
  }

  /** Under the ids of real messages something else arrives, before them as a rule. */
  #forge(member: Member, messages: readonly Message[]): void {
    const forged = messages.map((message) => new Message(message.epoch, message.seq, message.time, message.expires, { topic: message.topic, event: undefined, json: false, data: FORGED }));
    const payload = encode(SENDER, carriedOf(forged, FORGER_KEYS));
    this.#world.after(0, member.place, () => this.#deliver(member, payload));
  }

  /** Each instance decodes for itself, so it has objects of its own. */
  #deliver({ listener, keys }: Member, payload: Buffer): void {
    const envelope = decode(payload, RECEIVER, keys);
    if (envelope.kind === 'messages') listener.receive(envelope.messages);
    else listener.wake();
  }

  #carry(member: Member, payload: Buffer): void {
    const chance = this.#world.chance(`bus ${member.instance}`);
    const [isLost, isDoubled, isWake] = [chance.next() < this.quality.lost, chance.next() < this.quality.doubled, chance.next() < this.quality.wakes];
    const delays = [this.#delay(member), this.#delay(member)];
    if (isLost || this.#troubles.until('deaf', member.instance) !== undefined) return;
    for (const delay of isDoubled ? delays : delays.slice(0, 1)) {
      this.#world.after(delay, member.place, () => (isWake ? member.listener.wake() : this.#deliver(member, payload)));
    }
  }

  #delay({ instance }: Member): number {
    const chance = this.#world.chance(`bus delay ${instance}`);
    const [isLate, part] = [chance.next() < this.quality.late, chance.next()];
    if (this.#troubles.until('late', instance) !== undefined) return part * VERY_LATE_MS;
    return part * (isLate ? this.quality.lateMs : USUAL_MS);
  }
}

/** An instance's end of it. */
export class SimulatedBus implements Bus {
  readonly state = 'up';
  readonly receivers = undefined;
  readonly #exchange: Exchange;
  readonly #instance: number;
  readonly #place: Place;
  #keys: EnvelopeKeys | undefined;

  constructor(exchange: Exchange, instance: number, place: Place) {
    this.#exchange = exchange;
    this.#instance = instance;
    this.#place = place;
  }

  join(_logId: string, listener: BusListener): void {
    this.#keys = new EnvelopeKeys((epoch) => listener.secretOf(epoch));
    this.#exchange.join({ instance: this.#instance, place: this.#place, listener, keys: this.#keys });
  }

  publish(messages: readonly Message[]): void {
    if (this.#keys !== undefined) this.#exchange.send(this.#place, messages, this.#keys);
  }

  tell(): void {
    // No simulated instance has anything to say besides messages.
  }

  wake(): void {
    this.#exchange.wake(this.#place);
  }

  async close(): Promise<void> {
    // A process that ends is left out by itself.
  }
}
