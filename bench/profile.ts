import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Peer } from './types.ts';

/** `--profile`: where the service spends its CPU time, thread by thread, as Node's own profiler sees it. What it did before it was ready does not count. */

/** Functions that are listed of each thread. */
const LISTED = 25;
const MICROSECONDS = 1e6;

/** What Node writes with `--cpu-prof` (the Chrome DevTools protocol, Profiler.Profile). Times are microseconds of the machine's monotonic clock. */
interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number } }[];
  readonly startTime: number;
  readonly samples: readonly number[];
  /** From the sample before. */
  readonly timeDeltas: readonly number[];
}

/** The peer, with a profile of each thread of each of its processes in `folder`, once it has ended. */
export function profiled(peer: Peer, folder: string): Peer & { readonly report: () => string } {
  mkdirSync(folder, { recursive: true });
  /** Microseconds, as in the profiles. */
  let readyAt = 0;
  return {
    ...peer,
    async start(options = {}) {
      const server = await peer.start({ ...options, profile: folder });
      readyAt = Number(process.hrtime.bigint() / 1_000n);
      return server;
    },
    report: () => readdirSync(folder).filter((name) => name.endsWith('.cpuprofile')).toSorted().map((name) => {
      const profile = JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile;
      return `${name}\n${hottest(profile, readyAt)}`;
    }).join('\n\n'),
  };
}

/** The functions that used most CPU time themselves, from a moment on. Microseconds of the monotonic clock. */
export function hottest({ nodes, startTime, samples, timeDeltas }: CpuProfile, from: number): string {
  const names = new Map(nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => [
    id, `${functionName === '' ? '(anonymous)' : functionName}${url === '' ? '' : ` ${basename(url)}:${lineNumber + 1}`}`,
  ]));
  const spent = new Map<string, number>();
  let all = 0;
  let at = startTime;
  samples.forEach((node, index) => {
    const took = timeDeltas[index] ?? 0;
    at += took;
    if (at < from) return;
    all += took;
    const name = names.get(node) ?? '(unknown)';
    spent.set(name, (spent.get(name) ?? 0) + took);
  });
  const idle = spent.get('(idle)') ?? 0;
  spent.delete('(idle)');
  const busy = all - idle;
  return [
    `  ${(busy / MICROSECONDS).toFixed(1)} s busy of ${(all / MICROSECONDS).toFixed(1)} s; of these`,
    ...[...spent].toSorted(([, one], [, other]) => other - one).slice(0, LISTED).map(([name, took]) => `  ${(took / busy * 100).toFixed(1).padStart(5)} %  ${name}`),
  ].join('\n');
}
