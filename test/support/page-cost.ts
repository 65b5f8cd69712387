import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { startWholeBrowser } from './browser.ts';
import { Http } from './http.ts';
import { startInstance, type Instance } from './instance.ts';
import type { Scope } from './temp.ts';

/**
 * `npm run page-cost`: what the page costs the service and the browser while 10,000 streams are open and 2,000 messages a second come. It measures the CPU of the service in intervals with the page
 * and without it, in turn, and of the browser its memory and the CPU of its longest task. It judges nothing: docs/page.md has figures to compare with.
 */

const { values: { streams, rate, seconds, rounds } } = parseArgs({ options: {
  streams: { type: 'string', default: '10000' }, rate: { type: 'string', default: '2000' }, seconds: { type: 'string', default: '10' }, rounds: { type: 'string', default: '8' },
} });
/** The views that are looked at, one after the other. The feed goes on behind the others. */
const VIEWS = ['feed', 'topics', 'fleet'] as const;
const BATCHES_EVERY_MS = 50;
const OPENED_AT_ONCE = 100;
/** The kernel counts CPU in these. */
const TICKS_A_SECOND = 100;
const LONG_TASK_MS = 50;

const endings: (() => unknown)[] = [];
const scope: Scope = { teardown: (end) => void endings.unshift(end) };

/** CPU seconds of a process so far. */
async function cpuOf({ pid }: Instance): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
}

/** Streams of one topic each, whose frames nobody looks at. */
async function openStreams({ port }: Instance, count: number): Promise<void> {
  for (let first = 0; first < count; first += OPENED_AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(OPENED_AT_ONCE, count - first) }, (_none, place) => new Promise<void>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(`GET /topics/load.${first + place}/events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`));
      socket.on('error', reject);
      socket.once('data', () => resolve());
      socket.resume();
      scope.teardown(() => socket.destroy());
    })));
  }
}

/** Publishes until it is stopped, one batch after the other; late ones are made up for. */
function publish(http: Http, topics: number, perSecond: number): { readonly stop: () => Promise<void>; readonly count: () => number } {
  const began = performance.now();
  let sent = 0;
  let isStopped = false;
  const run = async (): Promise<void> => {
    while (!isStopped) {
      const due = Math.min(1_000, Math.floor((performance.now() - began) / 1000 * perSecond) - sent);
      if (due > 0) await http.batch(Array.from({ length: due }, (_none, place) => ({ topic: `load.${(sent + place) % topics}`, event: 'loaded', data: { number: sent + place, text: 'A message as it may be, of some hundred bytes.' } })));
      sent += Math.max(0, due);
      await sleep(BATCHES_EVERY_MS);
    }
  };
  const running = run();
  return { count: () => sent, stop: () => {
    isStopped = true;
    return running;
  } };
}

/** The memory of the page: JavaScript's heap, and what its process has for itself. */
async function memoryOf(browser: Browser, page: Page): Promise<{ readonly heapMb: number; readonly privateMb: number }> {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const { metrics } = await session.send('Performance.getMetrics');
  await session.detach();
  const system = await browser.newBrowserCDPSession();
  const { processInfo } = await system.send('SystemInfo.getProcessInfo');
  await system.detach();
  let most = 0;
  for (const { id, type } of processInfo) {
    if (type !== 'renderer') continue;
    const [, kib] = /^Private_Dirty:\s+(\d+)/m.exec(await readFile(`/proc/${id}/smaps_rollup`, 'utf8')) ?? [];
    most = Math.max(most, Number(kib) / 1024);
  }
  return { heapMb: metrics.find(({ name }) => name === 'JSHeapUsedSize')!.value / 1024 / 1024, privateMb: most };
}

interface Task {
  readonly cpuMs: number;
  readonly wallMs: number;
}

/** The tasks of the main thread of the page in a trace, the longest by their CPU first. */
function tasksOf(trace: Buffer): readonly Task[] {
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: readonly { readonly name: string; readonly ph: string; readonly pid: number; readonly tid: number; readonly dur?: number; readonly tdur?: number; readonly args: { readonly name?: string } }[] };
  const threads = new Set(traceEvents.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain').map(({ pid, tid }) => `${pid} ${tid}`));
  return traceEvents.filter(({ name, ph, pid, tid }) => ph === 'X' && name.endsWith('RunTask') && threads.has(`${pid} ${tid}`))
    .map(({ dur = 0, tdur = 0 }) => ({ cpuMs: tdur / 1000, wallMs: dur / 1000 })).sort((one, other) => other.cpuMs - one.cpuMs);
}

function spread(values: readonly number[]): string {
  const sorted = values.toSorted((one, other) => one - other);
  return `${sorted[Math.floor(sorted.length / 2)]!.toFixed(2)} (${sorted[0]!.toFixed(2)} to ${sorted.at(-1)!.toFixed(2)})`;
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);

try {
  const [instance, browser] = await Promise.all([startInstance(scope, { LOG_LEVEL: 'error', HEARTBEAT_SECONDS: '25' }), startWholeBrowser(scope)]);
  await openStreams(instance, Number(streams));
  const began = performance.now();
  const load = publish(new Http(scope, instance.url, 2), Number(streams), Number(rate));
  const percent = async (): Promise<number> => {
    const [cpu, began] = [await cpuOf(instance), performance.now()];
    await sleep(Number(seconds) * 1000);
    return (await cpuOf(instance) - cpu) / (performance.now() - began) * 1e5;
  };
  say(`${streams} streams, ${rate} messages a second; ${rounds} rounds of ${seconds} s without the page and ${seconds} s with each view`);
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const without: number[] = [];
  const costs: Record<string, number[]> = {};
  let tasks: readonly Task[] = [];
  await percent();
  for (let round = 0; round < Number(rounds); round++) {
    const before = await percent();
    without.push(before);
    await browser.startTracing(page, { categories: ['toplevel', 'disabled-by-default-devtools.timeline'] });
    const open: [string, number][] = [];
    for (const view of VIEWS) {
      if (view === 'feed') await page.goto(`${instance.url}/`);
      else await page.evaluate(`location.hash = '#/${view}'`);
      await sleep(1_000);
      open.push([view, await percent()]);
    }
    tasks = [...tasks, ...tasksOf(await browser.stopTracing())];
    const { heapMb, privateMb } = await memoryOf(browser, page);
    await page.goto('about:blank');
    await sleep(1_000);
    const after = await percent();
    without.push(after);
    for (const [view, cpu] of open) (costs[view] ??= []).push(cpu - (before + after) / 2);
    say(`round ${round + 1}: without ${before.toFixed(1)} and ${after.toFixed(1)} %, with ${open.map(([view, cpu]) => `${view} ${cpu.toFixed(1)} %`).join(', ')}; heap ${heapMb.toFixed(0)} MiB, renderer ${privateMb.toFixed(0)} MiB`);
  }
  const long = tasks.filter(({ cpuMs }) => cpuMs > LONG_TASK_MS);
  say(`${Math.round(load.count() / (performance.now() - began) * 1000)} messages a second were published`);
  say(`CPU of the service without the page: ${spread(without)} % of a core`);
  for (const [view, values] of Object.entries(costs)) say(`The page adds with ${view}: ${spread(values)} %`);
  say(`Tasks of the page: ${tasks.length}; of more than ${LONG_TASK_MS} ms of CPU: ${long.length}; the longest ${tasks.toSorted((one, other) => other.cpuMs - one.cpuMs).slice(0, 3).map(({ cpuMs, wallMs }) => `${cpuMs.toFixed(0)} ms of CPU in ${wallMs.toFixed(0)} ms`).join(', ')}`);
  await load.stop();
} finally {
  for (const end of endings) await end();
}
