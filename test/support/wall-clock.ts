import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { tempFolder, type Scope } from './temp.ts';

const LOADED = pathToFileURL(join(import.meta.dirname, 'stepped-clock.ts')).href;

/** The wall clock of the instances that have it in their environment: it can be set while they run, and stays so when they are started again. */
export class WallClock {
  readonly #path: string;
  readonly #file: number;

  constructor(t: Scope) {
    this.#path = join(tempFolder(t), 'step');
    this.#file = openSync(this.#path, 'w');
    this.step(0);
    t.teardown(() => closeSync(this.#file));
  }

  get env(): Readonly<Record<string, string>> {
    return { STEPPED_CLOCK: this.#path, NODE_OPTIONS: `--import=${LOADED}` };
  }

  /** Sets it so many milliseconds before the machine's own, or behind it where they are negative. */
  step(milliseconds: number): void {
    writeSync(this.#file, new Uint8Array(Float64Array.of(milliseconds).buffer), 0, 8, 0);
  }
}
