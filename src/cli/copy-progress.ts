import { Presets, SingleBar } from 'cli-progress';
import type { CopyProgress } from '../store/log-copy.ts';

/** The interval of progress lines if standard error is no terminal: keeps a log file short. */
const LINE_INTERVAL_MS = 5_000;

/** Shows progress on standard error: a bar on a terminal, lines elsewhere. */
export class CommandProgress implements CopyProgress {
  readonly #bar = process.stderr.isTTY ? new SingleBar({
    stream: process.stderr,
    format: '{step} [{bar}] {value}/{total} {percentage} %, {eta_formatted} left',
    // `gracefulExit` would take the first Ctrl-C for the bar, and the copy would run on. Without it nobody restores the cursor, so keep it visible.
    gracefulExit: false, hideCursor: false, linewrap: true,
  }, Presets.shades_classic) : undefined;
  #step = '';
  #total = 0;
  #done = 0;
  #began = 0;
  #said = 0;

  begin(step: string, total: number): void {
    [this.#step, this.#total, this.#done] = [step, total, 0];
    this.#began = this.#said = performance.now();
    if (total > 0) this.#bar?.start(total, 0, { step });
  }

  advance(count: number): void {
    this.#done += count;
    if (this.#bar !== undefined) this.#bar.update(Math.min(this.#done, this.#total));
    else if (performance.now() - this.#said >= LINE_INTERVAL_MS) this.#line();
  }

  /** Ends the bar, also during a step: its timer would keep the process alive. */
  stop(): void {
    this.#bar?.stop();
  }

  end(): void {
    this.stop();
    if (this.#total > 0) this.#line();
  }

  #line(): void {
    this.#said = performance.now();
    const seconds = (this.#said - this.#began) / 1_000;
    process.stderr.write(`${this.#step}: ${this.#done} of ${Math.max(this.#total, this.#done)}, ${Math.round(this.#done / Math.max(seconds, Number.EPSILON))} a second\n`);
  }
}
