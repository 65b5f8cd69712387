import t from 'tap';
import { RetryPause } from '../../src/connectors/retry-pause.ts';
import { systemClock, type Clock } from '../../src/runtime/clock.ts';

t.test('a connection that is dropped at once does not make the pauses begin anew; one that lasted does, and so does a message', async (t) => {
  let now = 0;
  const pauses: number[] = [];
  const clock: Clock = { ...systemClock, monotonic: () => now, after: (milliseconds, task) => {
    pauses.push(milliseconds);
    setImmediate(task);
    return { cancel: () => undefined };
  } };
  const retry = new RetryPause({ clock, random: () => 0 });
  const { signal } = new AbortController();
  const connect = async (lastedMs: number): Promise<void> => {
    retry.opened();
    now += lastedMs;
    await retry.wait(signal);
  };
  for (let count = 0; count < 4; count++) await connect(10);
  t.same(pauses, [250, 500, 1_000, 2_000]);
  await connect(60_000);
  t.equal(pauses.at(-1), 250);
  await connect(10);
  retry.succeeded();
  await connect(10);
  t.same(pauses.slice(-2), [500, 250]);
});

t.test('a pause ends as soon as the signal aborts: `wait` throws the reason, and `passes` answers false', async (t) => {
  const retry = new RetryPause({ clock: { ...systemClock, after: () => ({ cancel: () => undefined }) }, random: () => 0 });
  const stopping = new AbortController();
  const [waits, passes] = [retry.wait(stopping.signal), retry.passes(stopping.signal)];
  const reason = new Error('the runner stops');
  stopping.abort(reason);
  await t.rejects(waits, reason);
  t.equal(await passes, false);
  await t.rejects(retry.wait(stopping.signal), reason);
  t.equal(await retry.passes(stopping.signal), false);
});
