import type { Outlet } from '../../src/delivery/reader/stream-socket.ts';
import type { Filter } from '../../src/model/topic.ts';
import type { Random } from '../support/fleet-random.ts';
import type { Place, World } from './world.ts';

/** From so many bytes on that the kernel has not taken, a socket says that it is full: Node's own is 16 KiB. */
const HIGH_WATER = 256;
/** How long bytes are on their way, and how long it takes until either side sees that the other has gone. Milliseconds. */
const TRANSFER_MS = 3;
const NOTICE_MS = 20;
/** A connection that broke without a word: the instance notices by what it cannot write, or after this long. Milliseconds. */
const HALF_OPEN_MS = 6000;

/** The client's end of a connection. */
export interface Receiver {
  receive(text: string): void;
  /** The connection has ended; nothing comes any more. */
  ended(): void;
}

/**
 * A connection from an instance to a client: what is written waits in the kernel's buffer until the network has carried it, and beyond its capacity
 * in the process. What has not been carried when it is cut is lost, also in the middle of a frame.
 */
export class SimulatedSocket implements Outlet {
  readonly #world: World;
  readonly #place: Place;
  readonly #receiver: Receiver;
  /** What the kernels between hold at most. Bytes. */
  readonly #capacity: number;
  readonly #spend: () => void;
  readonly #chance: Random;
  /** Called in the instance: there is room again, and it is gone. */
  onDrain: () => void = () => undefined;
  onClose: () => void = () => undefined;
  /** Called in the instance: the client wants other topics. */
  onChange: (wanted: Filter) => void = () => undefined;
  writableLength = 0;
  writableNeedDrain = false;
  /** The client does not read. */
  isStuck = false;
  #kernel = '';
  #rest = '';
  #isCarrying = false;
  #isEnding = false;
  /** The client's end is there. */
  #isConnected = true;
  /** The instance's end is there. */
  #isOpen = true;

  constructor(options: { world: World; place: Place; receiver: Receiver; capacity: number; spend: () => void; chance: Random }) {
    this.#world = options.world;
    this.#place = options.place;
    this.#receiver = options.receiver;
    this.#capacity = options.capacity;
    this.#spend = options.spend;
    this.#chance = options.chance;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  write(bytes: Uint8Array): boolean {
    if (!this.#isOpen || this.#isEnding) return false;
    this.#spend();
    this.#rest += Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
    this.#fill();
    if (this.writableLength >= HIGH_WATER) this.writableNeedDrain = true;
    this.#carry();
    return this.writableLength < HIGH_WATER;
  }

  /** Lets the kernel take what it has room for. */
  #fill(): void {
    const taken = this.#rest.slice(0, Math.max(0, this.#capacity - this.#kernel.length));
    this.#kernel += taken;
    this.#rest = this.#rest.slice(taken.length);
    this.writableLength = this.#rest.length;
  }

  #carry(): void {
    if (this.#isCarrying || !this.#isConnected || this.isStuck || (this.#kernel === '' && !this.#isEnding)) return;
    this.#isCarrying = true;
    const [delay, part] = [this.#chance.next() * TRANSFER_MS, this.#chance.next()];
    this.#world.after(delay, undefined, () => {
      this.#isCarrying = false;
      if (!this.#isConnected || this.isStuck) return;
      // Mostly all there is, sometimes a part, wherever that ends.
      const carried = this.#kernel.slice(0, part < 0.7 ? this.#kernel.length : Math.ceil((part - 0.7) / 0.3 * this.#kernel.length));
      this.#kernel = this.#kernel.slice(carried.length);
      this.#receiver.receive(carried);
      this.#fill();
      if (this.#rest === '' && this.writableNeedDrain) this.#drained();
      if (this.#isEnding && this.#kernel === '' && this.#rest === '') this.#disconnect(0);
      else this.#carry();
    });
  }

  #drained(): void {
    this.writableNeedDrain = false;
    this.#world.after(this.#chance.next(), this.#place, () => {
      if (this.#isOpen) this.onDrain();
    });
  }

  /** The client reads again, or does not. */
  stick(isStuck: boolean): void {
    this.isStuck = isStuck;
    this.#carry();
  }

  /** The client has gone, or the network between; half open: without a word to the instance. */
  cut(isHalfOpen = false): void {
    if (!this.#isConnected) return;
    this.#disconnect(isHalfOpen ? HALF_OPEN_MS : NOTICE_MS);
  }

  /** @param noticeMs The longest time until the instance sees it. */
  #disconnect(noticeMs: number): void {
    if (!this.#isConnected) return;
    this.#isConnected = false;
    this.#receiver.ended();
    this.#world.after(this.#chance.next() * noticeMs, this.#place, () => this.#close());
  }

  #close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.onClose();
  }

  destroySoon(): void {
    this.#isEnding = true;
    this.#carry();
  }

  destroy(): void {
    this.#reset();
    this.#world.after(0, this.#place, () => this.#close());
  }

  /** The process has ended: what the network has not carried yet is lost. */
  #reset(): void {
    this.#world.after(this.#chance.next() * NOTICE_MS, undefined, () => this.#disconnect(0));
  }

  lost(): void {
    this.#reset();
  }
}
