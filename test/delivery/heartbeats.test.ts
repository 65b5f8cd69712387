import t from 'tap';
import { Heartbeats, type Beating } from '../../src/delivery/reader/heartbeats.ts';

/** A stream that writes down the ticks at which it was served. */
interface Quiet extends Beating {
  readonly ticks: number[];
}

for (const [period, before] of [[1, 0], [2, 1], [25, 0], [25, 7], [3600, 40]] as const) {
  t.test(`${period} ticks between heartbeats, opened after ${before}: the first comes after half of them, no two ticks serve many more streams than others`, async (t) => {
    const heartbeats = new Heartbeats<Quiet>(period);
    let now = 0;
    const tick = (): void => {
      now++;
      heartbeats.tick();
    };
    for (let count = 0; count < before; count++) tick();
    const streams = Array.from({ length: 10 * period }, () => {
      const stream: Quiet = { heartbeatSlot: 0, ticks: [], beat: () => void stream.ticks.push(now - before) };
      heartbeats.add(stream);
      return stream;
    });
    for (let count = 0; count < 2 * period; count++) tick();
    const firsts = streams.map(({ ticks: [first] }) => first!);
    t.ok(Math.min(...firsts) > Math.floor(period / 2) && Math.max(...firsts) <= period, 'between half of a period and a whole one after it was opened');
    t.ok(streams.every(({ ticks }) => ticks.length === 2 && ticks[1]! - ticks[0]! === period), 'then once in each');
    const served = Map.groupBy(firsts, (first) => first);
    t.ok([...served.values()].every(({ length }) => length <= 20), 'ten streams for each tick of a period, and not more than twice as many at once');
  });
}
