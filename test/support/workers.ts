import { join } from 'node:path';
import { startInstance, type Instance } from './instance.ts';
import type { Scope } from './temp.ts';
import { until } from './until.ts';

/** Several workers that share a port, with their supervisor: what `npm start` runs with WORKERS. */

const SERVE = join(import.meta.dirname, '../../src/serve.js');

/** Resolves when all workers listen. */
export function startWorkers(t: Scope, count: number, env: Readonly<Record<string, string>> = {}): Promise<Instance> {
  return startInstance(t, { WORKERS: String(count), DRAIN_SECONDS: '0', ...env }, { entry: SERVE });
}

/** The lines of the service's logger. */
export function linesOf({ output }: Instance): Record<string, unknown>[] {
  return output.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}')).map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** The process of each worker that has listened last, by its number. */
export function workersOf(instance: Instance): ReadonlyMap<number, number> {
  return new Map(linesOf(instance).filter(({ msg }) => msg === 'a worker listens').map((line) => [line['number'] as number, line['process'] as number]));
}

/** One scrape in which every worker answered. */
export async function scrape(url: string): Promise<string> {
  let text = '';
  await until('every worker answers', async () => {
    text = await (await fetch(`${url}/metrics`, { headers: { connection: 'close' } })).text();
    return !/^tidings_worker_up\{worker="\d+"\} 0$/m.test(text) && text.includes('tidings_worker_up');
  });
  return text;
}

/** The values of a metric by worker. */
export async function byWorker({ url }: Instance, metric: string): Promise<ReadonlyMap<string, number>> {
  return new Map([...(await scrape(url)).matchAll(new RegExp(`^${metric}\\{worker="(\\w+)"\\} (.+)$`, 'gm'))].map(([, worker, value]) => [worker!, Number(value)]));
}
