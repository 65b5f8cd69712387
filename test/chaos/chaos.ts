import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../support/access-state.ts';
import { untaken, type Stored } from '../support/checker.ts';
import { Load, NAMES } from '../support/fleet-load.ts';
import { readHistory, type Patience } from '../support/fleet-publishers.ts';
import { Random } from '../support/fleet-random.ts';
import { Http } from '../support/http.ts';
import { bearer } from '../support/keys-command.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { inflict, possible, type Fault, type FaultKind } from './faults.ts';
import { Fleet, type FleetOptions } from './fleet.ts';
import type { Injected, Recording } from './recording.ts';
import { schedule } from './schedule.ts';

export interface ChaosOptions extends FleetOptions {
  readonly seed: number;
  /** What may go wrong; by default everything that can. */
  readonly kinds?: readonly FaultKind[];
  /** Whether to go on, before each step: what has gone wrong so far, and what can. */
  readonly more: (faults: readonly Fault[], possible: readonly FaultKind[]) => boolean;
  /** No fault lasts longer. Milliseconds. */
  readonly longest: number;
  readonly streams: number;
  /** How many of them are WebSockets; undefined is a share. */
  readonly websockets?: number | undefined;
  readonly publishers: number;
  /** Without it, none. */
  readonly webhooks?: number;
  /** How long the service may take, when nothing is wrong any more, to be well again, and to deliver the last message. Milliseconds. */
  readonly recovery?: number;
  /** Hears what goes on. */
  readonly say: (line: string) => void;
}

export interface Outcome {
  readonly recording: Recording;
  /** What happened, in one line. */
  readonly summary: string;
  /** What could not be done on this machine, and why. */
  readonly skipped: readonly string[];
  /** What could. */
  readonly possible: readonly FaultKind[];
}

/** The longest pause of a publisher, for each there is. Milliseconds. */
const THINK = 120;
/** One request in so many has no key and is not sent again. */
const CARELESS = 12;
/** Of so many streams there is one more whose topics change all the time. */
const CHANGING_SHARE = 10;
/** One of so many streams is a WebSocket, where the options do not say. */
const WEB_SOCKETS_SHARE = 4;
/** A stream is cut by its own network after so many messages. */
const CUT_EVERY = 20;

/** As a script with some patience: it waits for an answer for ten seconds, and asks again for a quarter of an hour. */
const PATIENCE: Patience = { retryMin: 200, retrySpread: 1_000, attempts: 1_000, timeout: 10_000, again: 10 };

/** How long a step waits for messages before it begins anyway: nobody may be able to publish. Milliseconds. */
const STUCK = 10_000;
/** Generous: a machine may be busy with other things. Milliseconds. */
const RECOVERY = 120_000;

/** Publishes and listens while things go wrong, until all that was published has arrived or never will. */
export async function chaos(t: Scope, options: ChaosOptions): Promise<Outcome> {
  const { seed, store, say, recovery = RECOVERY, webhooks = 0 } = options;
  const random = new Random(seed);
  const fleet = await Fleet.start(t, new Random(seed), options);
  const load = new Load(t, {
    urls: [fleet.front.url], random: random.fork(), publishers: options.publishers, streams: options.streams, webSockets: options.websockets ?? Math.ceil(options.streams / WEB_SOCKETS_SHARE), changing: Math.ceil(options.streams / CHANGING_SHARE),
    cutEvery: CUT_EVERY, careless: CARELESS, think: THINK, patience: PATIENCE, calm: true, arrival: recovery,
  });
  await load.open();
  await fleet.receivers.open(new Http(t, fleet.instances[0]!.url), bearer(ROOT.text), webhooks, NAMES);
  say(`${options.streams} streams are open, and ${webhooks} webhooks`);
  const began = performance.now();
  load.start();
  const faults: Injected[] = [];
  const can = possible(fleet).filter(({ kind }) => options.kinds?.includes(kind) ?? true);
  const steps = schedule({ random: random.fork(), possible: can, longest: options.longest });
  const kinds = can.map(({ kind }) => kind);
  while (options.more(faults, kinds)) {
    const step = steps.next().value;
    await Promise.race([load.more(step.messages), sleep(STUCK, undefined, { ref: false })]);
    faults.push(...await Promise.all(step.faults.map((fault) => injected(fleet, fault, say))));
  }
  say('no more faults; what was published has to arrive');
  await recovered(fleet);
  fleet.receivers.calm();
  const { losses } = fleet;
  let history: readonly Stored[] = [];
  await load.finish(async () => {
    history = await readHistory(new Http(t, fleet.instances[0]!.url));
    return { history, losses };
  });
  const run = { publications: load.publishers.notes, streams: load.records, history, losses };
  await fleet.receivers.taken(untaken({ ...run, receivers: fleet.receivers.records }), recovery);
  const recording: Recording = { seed, store, bus: options.bus, workers: options.workers, ...run, receivers: fleet.receivers.records, faults, duration: performance.now() - began };
  return { recording, summary: load.summary, skipped: fleet.database.skipped, possible: kinds };
}

async function injected(fleet: Fleet, fault: Fault, say: (line: string) => void): Promise<Injected> {
  say(`${fault.kind}: ${fault.target}, ${fault.milliseconds} ms`);
  const began = performance.now();
  await inflict(fleet, fault);
  return { ...fault, began, ended: performance.now() };
}

/** Waits until every instance says that it can work, and that Redis is there. */
async function recovered(fleet: Fleet): Promise<void> {
  for (const { url } of fleet.instances) {
    await until(`${url} is ready`, async () => await stateOf(url) === 'ready', RECOVERY);
  }
}

async function stateOf(url: string): Promise<string | undefined> {
  try {
    const answer = await fetch(`${url}/readyz`);
    return ((await answer.json()) as { readonly status: string }).status;
  } catch {
    return undefined;
  }
}
