import { ratioTo } from './compare.ts';
import { CORE, CPU, DELIVERIES, MESSAGE_BYTES, P50, P99 } from './figures.ts';
import { NCHAN, SUBJECT } from './names.ts';
import type { Scenario } from './scenario.ts';
import { mostDeliveries, QUICK_MS } from './search.ts';

const SECONDS = 3;

const MANY = '10,000 streams';
const FEWER = '1,000 streams';

export const saturation: Scenario = {
  name: 'saturation',
  title: 'Saturation: the most deliveries a second',
  how: `All streams listen to one topic; the highest rate of ${MESSAGE_BYTES}-byte messages is searched at which nothing is lost and the p99 of the latency is under ${QUICK_MS} ms, `
    + `${SECONDS} seconds for each rate, published over 16 connections, to within 5 to 10 %. The other figures are those of that rate.`,
  caveats: ['The server\'s processes are kept on one core and the load on the other, for all servers alike.'],
  peers: [SUBJECT, NCHAN],
  figures: [DELIVERIES, { key: 'rate', title: 'messages a second', digits: 1 }, CPU, CORE, P50, P99],
  cases: [
    { title: MANY, run: (peer, setting) => mostDeliveries(peer, setting, { streams: setting.quick ? 1_000 : 10_000, from: 6, seconds: SECONDS }) },
    { title: FEWER, run: (peer, setting) => mostDeliveries(peer, setting, { streams: setting.quick ? 100 : 1_000, from: 150, seconds: SECONDS }) },
  ],
  targets: [
    { number: 2, says: `most deliveries a second at 10,000 streams, p99 under ${QUICK_MS} ms, to Nchan's`, at: 'least', limit: 4, unit: '', digits: 2, value: ratioTo(NCHAN, MANY, SUBJECT, DELIVERIES.key) },
    { number: 2, says: `most deliveries a second at 1,000 streams, to Nchan's`, at: 'least', limit: 4, unit: '', digits: 2, value: ratioTo(NCHAN, FEWER, SUBJECT, DELIVERIES.key) },
  ],
};
