import { HubConnection } from '../../src/bus/hub/connection.ts';
import { HubBus } from '../../src/bus/hub/bus.ts';
import { startHub, type Hub } from '../../src/bus/hub/hub.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { Ear } from '../contract/bus.ts';
import { recordingLogger } from './logger.ts';
import type { Scope } from './temp.ts';

/** A hub that is closed when the test is over; closing twice does no harm. */
export async function openHub(t: Scope, path?: string): Promise<Hub & { readonly lines: readonly string[] }> {
  const { logger, lines } = recordingLogger();
  const hub = await startHub({ ...(path === undefined ? {} : { path }), clock: systemClock, logger });
  t.teardown(() => hub.close());
  return { path: hub.path, close: () => hub.close(), lines };
}

export interface HubWorker {
  readonly connection: HubConnection;
  /** What the connection logged. */
  readonly lines: readonly string[];
}

/** The connection of one more worker. Its users close it. */
export function hubWorker(path: string): HubWorker {
  const { logger, lines } = recordingLogger();
  return { connection: new HubConnection({ path, clock: systemClock, logger }), lines };
}

export interface OpenHubBus extends HubWorker {
  readonly bus: HubBus;
  readonly ear: Ear;
  readonly counters: Counters;
}

/** The bus of one more worker, which has joined no log yet. */
export function hubBus(path: string): Omit<OpenHubBus, 'ear'> {
  const worker = hubWorker(path);
  const counters = new Counters();
  return { ...worker, counters, bus: new HubBus({ connection: worker.connection, clock: systemClock, counters }) };
}

/** The same, which has joined, but need not be up. */
export function openHubBus(t: Scope, path: string, logId: string): OpenHubBus {
  const opened = hubBus(path);
  t.teardown(() => opened.bus.close());
  const ear = new Ear();
  opened.bus.join(logId, ear);
  return { ...opened, ear };
}
