import type { Clock, Timer } from '../../src/runtime/clock.ts';

/** A clock that stands until the test moves it. `soon` is the event loop's own. */
export class TestClock implements Clock {
  #now = 0;
  #timers: { at: number; task: () => void }[] = [];

  monotonic(): number {
    return this.#now;
  }

  after(milliseconds: number, task: () => void): Timer {
    const timer = { at: this.#now + milliseconds, task };
    this.#timers.push(timer);
    return { cancel: () => void (this.#timers = this.#timers.filter((other) => other !== timer)) };
  }

  soon(task: () => void): void {
    setImmediate(task);
  }

  /** Lets time pass as work does: nothing runs meanwhile, whether it is due or not. */
  spend(milliseconds: number): void {
    this.#now += milliseconds;
  }

  /** Runs what is due by now, and nothing that follows from it: as in a turn of the event loop that comes before others. */
  runDue(): void {
    const due = this.#timers.filter(({ at }) => at <= this.#now).sort((a, b) => a.at - b.at);
    this.#timers = this.#timers.filter((timer) => !due.includes(timer));
    for (const { task } of due) task();
  }

  /** Lets the time pass, runs what is due in its order, and lets all that follows from it happen. */
  async advance(milliseconds: number): Promise<void> {
    const until = this.#now + milliseconds;
    for (;;) {
      await settle();
      const due = this.#timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#now = Math.max(this.#now, due.at);
      this.#timers = this.#timers.filter((other) => other !== due);
      due.task();
    }
    this.#now = Math.max(this.#now, until);
    await settle();
  }
}

/** Lets promises and immediates run out; enough turns for anything that waits for nothing else. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((done) => setImmediate(done));
}
