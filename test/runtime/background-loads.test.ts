import t from 'tap';
import { loadInBackground } from '../../src/runtime/background-loads.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { recordingLogger } from '../support/logger.ts';

/** Modules that an instance loads once it serves. */

/** Each wait ends at once, and is added up. */
class Waits implements Pick<Clock, 'after'> {
  milliseconds = 0;

  after(milliseconds: number, task: () => void): { cancel: () => void } {
    this.milliseconds += milliseconds;
    setImmediate(task);
    return { cancel: () => undefined };
  }
}

t.test('one load begins after the other, some seconds after the start', async (t) => {
  const clock = new Waits();
  const begun: number[] = [];
  let underWay = 0;
  const load = async (): Promise<void> => {
    t.equal(++underWay, 1);
    begun.push(clock.milliseconds);
    await new Promise(setImmediate);
    underWay--;
  };
  await loadInBackground({ loads: [load, load], clock, logger: recordingLogger().logger, utilization: () => 0 });
  t.same(begun, [5_000, 5_200]);
});

t.test('a load waits while the event loop is busy, and not for ever', async (t) => {
  const clock = new Waits();
  const { logger } = recordingLogger();
  let busy = 10;
  const begun: number[] = [];
  await loadInBackground({ loads: [() => begun.push(clock.milliseconds)], clock, logger, utilization: () => --busy > 0 ? 0.9 : 0.1 });
  t.ok(begun[0]! > 6_000, String(begun[0]));
  await loadInBackground({ loads: [() => begun.push(clock.milliseconds)], clock: new Waits(), logger, utilization: () => 0.9 });
  t.equal(begun.length, 2);
});

t.test('a load that fails is tried again, and told of once', async (t) => {
  const { logger, lines } = recordingLogger();
  let failures = 3;
  let loaded = 0;
  const load = (): void => {
    if (failures-- > 0) throw new Error('no such package');
    loaded++;
  };
  await loadInBackground({ loads: [load, () => loaded++], clock: new Waits(), logger, utilization: () => 0 });
  t.equal(loaded, 2);
  t.equal(lines.filter((line) => line.includes('no such package')).length, 1);
});
