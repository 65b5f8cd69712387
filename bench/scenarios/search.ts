import type { Delivered } from '../load/protocol.ts';
import { spread } from '../report/statistics.ts';
import type { Peer } from '../types.ts';
import { MESSAGE_BYTES } from './figures.ts';
import type { Round, Setting } from './scenario.ts';
import { costOf, faultsOf, isSound, pause, measured, type Session } from './session.ts';

/**
 * The most that a server delivers: the highest rate of publishes at which every stream gets everything and 99 of 100
 * deliveries are quick. The first round doubles the rate until that fails twice and then halves the steps; the ones after it
 * begin where it ended and go up or down by small steps. The streams stay open from one rate to the next.
 */

/** Deliveries later than this are no deliveries now. Milliseconds. */
export const QUICK_MS = 250;

const TOPIC = 'bench.one';

/** How often the space between the last rate that held and the first that did not is halved, each time in the logarithm: to 9 %; the rounds after the first go on from there. */
const HALVINGS = 3;
/** A server that writes several messages at once may deliver more when more is published: one rate that fails is not the end. */
const FAILURES = 2;
/** Of the rounds after the first. */
const STEP_UP = 1.05;
const STEP_DOWN = 1.1;
/** Publishers of one topic. */
const CONNECTIONS = 16;
/** Neither way can go on without an end, whatever the machine does meanwhile. */
const MOST_STEPS = 12;
/** For what a server still does about a rate that was too much. Milliseconds. */
const PAUSE_MS = 500;

interface Tried {
  readonly holds: boolean;
  readonly deliveries: number;
  readonly cpu: number;
  readonly delivered: Delivered;
}

export interface Search {
  readonly streams: number;
  /** Messages a second that every server can deliver. */
  readonly from: number;
  readonly seconds: number;
}

export async function mostDeliveries(peer: Peer, setting: Setting, search: Search): Promise<Round> {
  return measured(peer, { pinned: true }, async (session) => {
    await session.open(search.streams, TOPIC);
    const attempt = (rate: number) => tryRate(session, search, rate, setting);
    await attempt(search.from / 2);
    const before = setting.before.map((round) => round.figures['rate'] ?? search.from);
    const best = before.length === 0 ? await narrow(search.from, attempt) : await walk(spread(before).median, attempt);
    const { rate, tried: { delivered, deliveries, cpu } } = best;
    return {
      figures: { deliveries, rate, cpu: cpu * 1e6 / delivered.delivered, core: cpu / delivered.seconds, p50: delivered.latency.p50, p99: delivered.latency.p99 },
      faults: faultsOf(delivered),
      busy: delivered.busy,
    };
  });
}

type Attempt = (rate: number) => Promise<Tried>;
interface Best {
  readonly rate: number;
  readonly tried: Tried;
}

async function narrow(from: number, attempt: Attempt): Promise<Best> {
  let best = await holding(from, attempt);
  let tooMuch = Number.POSITIVE_INFINITY;
  let rate = best.rate;
  for (let failures = 0, step = 0; failures < FAILURES && step < MOST_STEPS; step += 1) {
    rate *= 2;
    const tried = await attempt(rate);
    if (tried.holds) {
      best = { rate, tried };
      tooMuch = Number.POSITIVE_INFINITY;
      failures = 0;
    } else {
      tooMuch = Math.min(tooMuch, rate);
      failures += 1;
    }
  }
  for (let step = 0; step < HALVINGS && Number.isFinite(tooMuch); step += 1) {
    const between = Math.sqrt(best.rate * tooMuch);
    const tried = await attempt(between);
    if (tried.holds) best = { rate: between, tried };
    else tooMuch = between;
  }
  return best;
}

async function walk(from: number, attempt: Attempt): Promise<Best> {
  let best = await holding(from, attempt);
  // Where the first did not hold, the way was down, and what is above it is known.
  if (best.rate < from) return best;
  for (let step = 0; step < MOST_STEPS; step += 1) {
    const rate = best.rate * STEP_UP;
    const tried = await attempt(rate);
    if (!tried.holds) break;
    best = { rate, tried };
  }
  return best;
}

/** The first rate from here downwards that holds. */
async function holding(from: number, attempt: Attempt): Promise<Best> {
  let rate = from;
  for (let step = 0; step < MOST_STEPS; step += 1) {
    const tried = await attempt(rate);
    if (tried.holds) return { rate, tried };
    rate /= STEP_DOWN;
  }
  throw new Error(`not even ${rate.toFixed(1)} messages a second were delivered to all streams in time`);
}

async function tryRate({ server, load, target, open }: Session, { streams, seconds }: Search, rate: number, { quick, say }: Setting): Promise<Tried> {
  const { cpu, result: delivered } = await costOf(server, () => load.publish({
    ...target, rate, seconds: quick ? 1 : seconds, bytes: MESSAGE_BYTES, topics: { name: TOPIC, count: 1 }, connections: CONNECTIONS,
  }));
  const faults = faultsOf(delivered);
  const holds = isSound(faults) && faults.refused === 0 && delivered.latency.p99 < QUICK_MS;
  // By the schedule, or by the time that it took if that was longer: the tail of a rate that is too much counts.
  const deliveries = Math.min(rate * streams, delivered.delivered / delivered.seconds);
  say(`${rate.toFixed(1)} messages a second: ${Math.round(deliveries)} deliveries a second, p99 ${delivered.latency.p99.toFixed(0)} ms, `
    + `load tool ${(delivered.busy * 100).toFixed(0)} %: ${holds ? 'holds' : 'too much'}${delivered.lost > 0 ? `, ${delivered.lost} lost` : ''}${delivered.ended > 0 ? `, ${delivered.ended} streams ended` : ''}`);
  await pause(PAUSE_MS);
  if (delivered.ended > 0) {
    await load.close();
    await open(streams, TOPIC);
  }
  return { holds, deliveries, cpu, delivered };
}
