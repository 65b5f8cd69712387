import type { Bus, BusListener } from '../../src/bus/bus.ts';
import { Message } from '../../src/model/message.ts';
import type { Troubles } from './trouble.ts';
import type { Place, World } from './world.ts';

/** How well a bus carries, besides its troubles: which part of what is sent is lost, comes twice, is late by up to so long, or is a wake-up only. */
export interface BusQuality {
  readonly lost: number;
  readonly doubled: number;
  readonly late: number;
  readonly lateMs: number;
  readonly wakes: number;
}

export const QUALITIES = {
  good: { lost: 0, doubled: 0, late: 0, lateMs: 0, wakes: 0 },
  mixed: { lost: 0.1, doubled: 0.2, late: 0.3, lateMs: 100, wakes: 0.1 },
  bad: { lost: 0.4, doubled: 0.3, late: 0.5, lateMs: 2500, wakes: 0.1 },
} as const satisfies Record<string, BusQuality>;

/** How long a message takes that is not late. Milliseconds. */
const USUAL_MS = 2;
/** How late everything is while the bus has the trouble `late`: up to so much. Milliseconds. */
const VERY_LATE_MS = 4000;

interface Member {
  readonly instance: number;
  readonly place: Place;
  readonly listener: BusListener;
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

  send(from: Place, messages: readonly Message[]): void {
    for (const member of this.#members) if (member.place !== from && !member.place.isGone) this.#carry(member, messages);
  }

  #carry(member: Member, messages: readonly Message[]): void {
    const chance = this.#world.chance(`bus ${member.instance}`);
    const [isLost, isDoubled, isWake] = [chance.next() < this.quality.lost, chance.next() < this.quality.doubled, chance.next() < this.quality.wakes];
    const delays = [this.#delay(member), this.#delay(member)];
    if (isLost || this.#troubles.until('deaf', member.instance) !== undefined) return;
    for (const delay of isDoubled ? delays : delays.slice(0, 1)) {
      // Each instance has objects of its own, as after a way through a real bus.
      const copies = messages.map((message) => new Message(message.epoch, message.seq, message.time, message.expires, message));
      this.#world.after(delay, member.place, () => (isWake ? member.listener.wake() : member.listener.receive(copies)));
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
  readonly #exchange: Exchange;
  readonly #instance: number;
  readonly #place: Place;

  constructor(exchange: Exchange, instance: number, place: Place) {
    this.#exchange = exchange;
    this.#instance = instance;
    this.#place = place;
  }

  join(_logId: string, listener: BusListener): void {
    this.#exchange.join({ instance: this.#instance, place: this.#place, listener });
  }

  publish(messages: readonly Message[]): void {
    this.#exchange.send(this.#place, messages);
  }

  async close(): Promise<void> {
    // A process that ends is left out by itself.
  }
}
