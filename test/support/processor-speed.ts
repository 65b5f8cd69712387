import { median } from './memory.ts';

/** What a sample works on. */
const TEXT = JSON.stringify(Array.from({ length: 5_000 }, (_, number) => ({ topic: `a.${number}`, data: { number, text: 'x'.repeat(40) } })));
/** What one sample takes of a processor that does nothing else, where the bounds in processor time were set. Milliseconds. */
const REFERENCE_MS = 2.5;

/**
 * How slow the processor is meanwhile. A processor whose caches and units others use takes more of its own time for the same work: a bound in that time grows as much.
 */
export class ProcessorSpeed {
  #samples: number[] = [];

  /** Does a little work, and measures it. */
  sample(): void {
    const before = process.threadCpuUsage();
    JSON.stringify(JSON.parse(TEXT));
    const { user, system } = process.threadCpuUsage(before);
    this.#samples.push((user + system) / 1000);
  }

  /** How many times as long as on that processor work took since the last time this was asked; 1 at least. */
  takeSlowness(): number {
    const slowness = Math.max(1, median(this.#samples) / REFERENCE_MS);
    this.#samples = [];
    return slowness;
  }
}
