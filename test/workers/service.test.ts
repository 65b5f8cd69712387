import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { Child } from '../support/child.ts';
import { openStream } from '../support/client.ts';
import { operationsUrl } from '../support/instance.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { byWorker, linesOf, scrape, startWorkers, workersOf } from '../support/workers.ts';

/** Several workers as one service: one port, one greeting, one log, one scrape. */

const SERVE = join(import.meta.dirname, '../../src/serve.js');
const WORKERS = 3;
const STREAMS = 240;
/** How many standard deviations the share of a worker may be off. The kernel throws dice for each connection: one run in some hundred million is further off. */
const DEVIATIONS = 6;

/** The real entry, where it is not expected to serve. */
function run(t: Parameters<typeof tempFolder>[0], env: Readonly<Record<string, string>>): Child {
  return new Child(t, process.execPath, [SERVE], { cwd: tempFolder(t), env: { PATH: process.env['PATH'], ...env } });
}

t.test('three workers are one service', async (t) => {
  const instance = await startWorkers(t, WORKERS, { OPS_PORT: '0', MAX_STREAMS: '1000', TAIL_BYTES: '3MiB' });

  await t.test('one greeting, after all are ready, and lines that name their worker', async (t) => {
    t.equal(instance.output.split('Tidings listens on').length, 2);
    t.match(instance.output, new RegExp(`Tidings listens on ${instance.url}\n(.*\n)*${WORKERS} workers share the port\n`));
    t.same([...new Set(linesOf(instance).map(({ worker }) => worker))].sort(), [1, 2, 3, 'supervisor']);
    t.same([...workersOf(instance).keys()].sort(), [1, 2, 3]);
  });

  await t.test('what one worker stored, streams of all get, and the kernel spreads them', async (t) => {
    const streams = await Promise.all(Array.from({ length: STREAMS }, () => openStream(t, `${instance.url}/topics/news/events`)));
    for (const stream of streams) await stream.next(({ event }) => event === '$open');
    const spread = await byWorker(instance, 'tidings_streams');
    const share = STREAMS / WORKERS;
    const bound = DEVIATIONS * Math.sqrt(share * (1 - 1 / WORKERS));
    t.equal([...spread.values()].reduce((sum, count) => sum + count, 0), STREAMS);
    for (const [worker, count] of spread) t.ok(Math.abs(count - share) <= bound, `worker ${worker} has ${count} of ${STREAMS}`);
    await fetch(`${instance.url}/topics/news`, { method: 'POST', body: 'hello' });
    for (const stream of streams) t.equal((await stream.next(({ event }) => event === undefined)).data, 'hello');
    for (const stream of streams) stream.destroy();
  });

  await t.test('limits count for all workers together', async (t) => {
    t.same([...await byWorker(instance, 'tidings_streams_max')], [['1', 334], ['2', 334], ['3', 334]]);
    t.same([...await byWorker(instance, 'tidings_tail_max_bytes')], ['1', '2', '3'].map((worker) => [worker, 1024 * 1024]));
  });

  await t.test('one scrape shows all workers and their supervisor, on either port', async (t) => {
    for (const url of [instance.url, operationsUrl(instance)]) {
      const text = await scrape(url);
      t.match(text, /^tidings_workers_running 3$/m);
      t.match(text, /^tidings_workers_ready 3$/m);
      t.match(text, /^tidings_worker_restarts_total\{reason="frozen"\} 0$/m);
      for (const worker of ['1', '2', '3']) t.match(text, new RegExp(`^tidings_worker_up\\{worker="${worker}"\\} 1$`, 'm'));
      t.same([...text.matchAll(/^process_resident_memory_bytes\{worker="(\w+)"\} \d+$/gm)].map(([, worker]) => worker), ['supervisor', '1', '2', '3']);
      t.equal(text.split('# TYPE tidings_streams gauge').length, 2, 'each name has its comments once');
      t.match(text, /^tidings_commit_seconds_bucket\{le="1",worker="2"\} \d+$/m);
    }
  });

  await t.test('instances are the workers, and ready is the service while one of them takes work', async (t) => {
    const { instances } = await (await fetch(`${instance.url}/instances`)).json() as { instances: { worker: number; host: string }[] };
    t.same(instances.map(({ worker }) => worker).sort(), [1, 2, 3]);
    t.equal(new Set(instances.map(({ host }) => host)).size, 1);
    const before = workersOf(instance);
    // As POST /instances/{id}/drain does.
    process.kill(before.get(2)!, 'SIGTERM');
    await instance.says(/"reason":"drained"/);
    t.equal((await fetch(`${instance.url}/readyz`, { headers: { connection: 'close' } })).status, 200);
    await until('another worker 2 listens', () => workersOf(instance).get(2) !== before.get(2));
    t.same([...workersOf(instance)].filter(([number]) => number !== 2), [...before].filter(([number]) => number !== 2), 'the others are the same');
  });

  await t.test('a frozen worker is killed and replaced', async (t) => {
    const before = workersOf(instance);
    process.kill(before.get(3)!, 'SIGSTOP');
    await instance.says(/"number":3,[^\n]*"reason":"frozen"/);
    await until('another worker 3 listens', () => workersOf(instance).get(3) !== before.get(3));
    t.match(await scrape(instance.url), /^tidings_worker_restarts_total\{reason="frozen"\} 1$/m);
  });

  await t.test('a signal that every process gets, and that the supervisor passes on, ends all in order', async (t) => {
    for (const pid of workersOf(instance).values()) process.kill(pid, 'SIGTERM');
    instance.kill('SIGTERM');
    t.same(await instance.exited, { code: 0, signal: null });
    t.notMatch(instance.output, /second SIG|killed by timeout/);
  });
});

t.test('a port that another program has is an error, said once, also where that one would share it', async (t) => {
  for (const reusePort of [false, true]) {
    const other = createServer();
    t.teardown(() => other.close());
    other.listen({ port: 0, host: '127.0.0.1', reusePort });
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const child = run(t, { WORKERS: '2', PORT: String(port) });
    t.same(await child.exited, { code: 1, signal: null });
    t.match(child.output, new RegExp(`^PORT: ${port} is in use; stop the other process or set PORT`, 'm'));
    t.equal(child.output.trim().split('\n').length, 1, child.output);
  }
});

t.test('a fault in the settings is said once, and nothing is tried again', async (t) => {
  const readOnly = `data:text/javascript,import f from'node:fs/promises';import{syncBuiltinESMExports as s}from'node:module';f.mkdtemp=()=>Promise.reject(Object.assign(new Error('EROFS: for the test'),{code:'EROFS'}));s()`;
  // The first two the supervisor sees itself, the third only who loads the rest of the service.
  for (const [env, line] of [
    [{ MAX_STREAMS: 'many' }, /^MAX_STREAMS: "many" is not allowed/],
    [{ NODE_OPTIONS: `--import=${encodeURI(readOnly)}` }, /^WORKERS: no temporary folder can be written to: set TMPDIR to one that can; or set WORKERS=1, or REDIS_URL \(EROFS: for the test\)$/m],
    [{ PUBLIC_TOPICS: 'a..b' }, /^PUBLIC_TOPICS\[0\]: /],
  ] as const) {
    const child = run(t, { WORKERS: '3', PORT: '0', ...env });
    t.same(await child.exited, { code: 1, signal: null });
    t.match(child.output, line);
    t.equal(child.output.trim().split('\n').length, 1, child.output);
  }
});

/** How many connections in a row have to be answered. Where the supervisor took its part of them, each would be reset as often as not. */
const ANSWERED_IN_A_ROW = 20;

t.test('while the log cannot be opened the first worker answers every connection', async (t) => {
  const child = run(t, { WORKERS: '2', PORT: '0', OPS_PORT: '0', DATABASE_URL: 'postgres://127.0.0.1:1/nobody' });
  await child.says(/HTTP answers at/);
  for (const [name, said] of [['main', /HTTP answers at (http:[^\s";]+)/], ['operations', /operations are answered at (http:[^\s"]+)/]] as const) {
    const url = said.exec(child.output)![1]!;
    await until(`all connections to the ${name} port are answered`, async () => {
      for (let count = 0; count < ANSWERED_IN_A_ROW; count++) if (await status(`${url}/readyz`) !== 503) return false;
      return true;
    });
  }
});

t.test('where the system cannot share a port, the supervisor hands connections over', async (t) => {
  const unable = `data:text/javascript,import{Server}from'node:net';const{listen}=Server.prototype;Server.prototype.listen=function(options,...rest){if(options?.reusePort!==true)return listen.call(this,options,...rest);process.nextTick(()=>this.emit('error',Object.assign(new Error('no'),{code:'ENOTSUP'})));return this}`;
  const instance = await startWorkers(t, 2, { NODE_OPTIONS: `--import=${encodeURI(unable)}` });
  const streams = await Promise.all(Array.from({ length: 8 }, () => openStream(t, `${instance.url}/topics/news/events`)));
  for (const stream of streams) await stream.next(({ event }) => event === '$open');
  t.equal([...(await byWorker(instance, 'tidings_streams')).values()].reduce((sum, count) => sum + count, 0), streams.length);
  const taken = run(t, { WORKERS: '2', PORT: String(instance.port) });
  t.same(await taken.exited, { code: 1, signal: null });
  t.match(taken.output, /is in use/);
  instance.kill('SIGTERM');
  t.same(await instance.exited, { code: 0, signal: null });
});

t.test('a place among workers is not for others to take', async (t) => {
  const child = run(t, { TIDINGS_WORKER: '{}', PORT: '0' });
  t.same(await child.exited, { code: 1, signal: null });
  t.match(child.output, /TIDINGS_WORKER: only the process that starts workers sets it/);
});

/** Of an answer over a connection of its own; undefined where there is none. */
async function status(url: string): Promise<number | undefined> {
  try {
    return (await fetch(url, { headers: { connection: 'close' } })).status;
  } catch {
    return undefined;
  }
}
