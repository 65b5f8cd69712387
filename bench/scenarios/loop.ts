import type { Server } from '../types.ts';

/** What the server under test says about itself at /metrics. */

/** prom-client samples with a timer of so many milliseconds and counts the whole time between two ticks: idle is this, not 0. */
const SAMPLING_MS = 10;

export interface LoopDelay {
  readonly loopP99: number;
  readonly loopMax: number;
}

/** The event loop's delay while something is done, in milliseconds: nothing where the server does not tell. */
export async function withLoopDelay<Result>(server: Server, work: () => Promise<Result>): Promise<{ result: Result; delay: LoopDelay | undefined }> {
  // To ask is to begin anew: prom-client empties its histogram with each answer.
  await scrape(server, 0);
  const result = await work();
  const text = await scrape(server, 0);
  if (text === undefined) return { result, delay: undefined };
  const delay = (name: string) => Math.max(0, gauge(text, `nodejs_eventloop_lag_${name}_seconds`) * 1000 - SAMPLING_MS);
  return { result, delay: { loopP99: delay('p99'), loopMax: delay('max') } };
}

export async function scrape(server: Server, instance: number): Promise<string | undefined> {
  if (server.metricsPath === undefined) return undefined;
  const answer = await fetch(`http://127.0.0.1:${server.ports[instance]}${server.metricsPath}`);
  if (!answer.ok) throw new Error(`${server.metricsPath} answered ${answer.status}`);
  return answer.text();
}

/** NaN where it is not told. */
export function gauge(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}
