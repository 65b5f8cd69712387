import type { World } from './world.ts';

/**
 * What the database does wrong for a while:
 * - `away`: it answers `unavailable`;
 * - `breaking`: connections break in the middle. Whether a commit has happened nobody knows: some have, some have not;
 * - `stalled`: what it is asked is done when the trouble is over;
 * - `mute`: what it is asked is done at once, and answered when the trouble is over;
 *
 * and what the bus does, on top of what it always does: `deaf`, nothing arrives; `late`, everything does, much later.
 */
export const STORE_TROUBLES = ['away', 'breaking', 'stalled', 'mute'] as const;
export const BUS_TROUBLES = ['deaf', 'late'] as const;
export type TroubleKind = (typeof STORE_TROUBLES)[number] | (typeof BUS_TROUBLES)[number];

interface Trouble {
  readonly kind: TroubleKind;
  /** The only instance that has it; undefined: all have. */
  readonly instance: number | undefined;
  until: number;
}

/** The troubles there are, by time. */
export class Troubles {
  readonly #world: World;
  #all: Trouble[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  begin(kind: TroubleKind, instance: number | undefined, milliseconds: number): void {
    this.#all.push({ kind, instance, until: this.#world.now + milliseconds });
  }

  /** When a trouble of an instance is over; undefined when it has none. */
  until(kind: TroubleKind, instance: number): number | undefined {
    const those = this.#all.filter((trouble) => trouble.kind === kind && (trouble.instance ?? instance) === instance && trouble.until > this.#world.now);
    return those.length === 0 ? undefined : Math.max(...those.map(({ until }) => until));
  }

  endAll(): void {
    this.#all = [];
  }
}
