import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { check, summarise } from '../support/checker.ts';
import { emptyDatabase } from '../support/database.ts';
import { Publishers, readHistory } from '../support/fleet-publishers.ts';
import { seeded } from '../support/fleet-random.ts';
import { RoamingStream } from '../support/fleet-stream.ts';
import { Http } from '../support/http.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { byWorker, scrape, startWorkers, workersOf } from '../support/workers.ts';

/** What clients see of workers that are killed or run out of memory, and of a supervisor that is killed. */

const WORKERS = 2;
/** Opened before each worker ends. */
const STREAMS = 20;
const PUBLISHERS = 4;
/** Messages that are acknowledged before and after each step. */
const SOME_MESSAGES = 40;
/** The pause of a publisher between two messages: without it they take the machine from the workers that start. Milliseconds. */
const PAUSE_MS = 20;
/** Questions on connections of their own: one in two goes to the worker that knew the dead one. */
const ASKED = 20;

/** Room for a worker that does what is asked of it here. MiB. */
const HEAP_MAX_MIB = 128;
/** A process that gets this signal needs more than that. It fills its heap in few steps, and tells of itself in between: one that is silent for long is killed. */
const HOARD = `data:text/javascript,const held=[];const hoard=()=>{held.push(new Array(1e7).fill(0));setImmediate(hoard)};process.on('SIGUSR2',hoard)`;

t.test('a worker is killed under load, and one runs out of heap: every stream gets each message once; a killed supervisor leaves nobody', async (t) => {
  const random = seeded(t);
  const database = { DATABASE_URL: await emptyDatabase(t) };
  // The workers talk over a socket in it.
  const folder = tempFolder(t);
  const instance = await startWorkers(t, WORKERS, { ...database, XDG_RUNTIME_DIR: folder, RETRY_MIN_MS: '50', RETRY_MAX_MS: '200', REBALANCE: 'off', NODE_OPTIONS: `--max-old-space-size=${HEAP_MAX_MIB} --import=${encodeURI(HOARD)}` });
  const publishers = new Publishers(t, [instance.url], random.fork());
  const http = new Http(t, instance.url);
  const streams: RoamingStream[] = [];
  /** Opens more streams: those that come back all go to the worker that is left. */
  const open = async (): Promise<void> => {
    const more = Array.from({ length: STREAMS }, (_, index) => new RoamingStream(t, { name: `stream ${streams.length + index}`, wants: ['kept.>'], urls: [instance.url] }));
    streams.push(...more);
    for (const stream of more) await stream.when(() => stream.isOpen);
  };
  /** The id of the worker that has this number now. */
  const idOf = async (number: number): Promise<string> => {
    let id: string | undefined;
    await until(`worker ${number} is heard`, async () => {
      const { instances } = await http.json<{ readonly instances: readonly { readonly id: string; readonly worker: number }[] }>('/instances');
      id = instances.find(({ worker }) => worker === number)?.id;
      return id !== undefined;
    });
    return id!;
  };
  let stopped = false;
  const running = Promise.all(Array.from({ length: PUBLISHERS }, async (_, index) => {
    for (let count = 0; !stopped; count++) {
      await publishers.publish(`kept.${index}`, `text ${index} ${count}`);
      await sleep(PAUSE_MS);
    }
  }));
  const more = (): Promise<void> => publishers.reached(publishers.acknowledged + SOME_MESSAGES);

  /** Ends a worker, and waits for the next one and for its streams. */
  const lose = async (number: number, signal: NodeJS.Signals): Promise<void> => {
    await open();
    await more();
    const before = workersOf(instance);
    const dead = await idOf(number);
    const theirs = (await byWorker(instance, 'tidings_streams')).get(String(number))!;
    const opened = streams.map(({ connections }) => connections);
    const cameBack = (): number => streams.filter(({ connections }, index) => connections > opened[index]!).length;
    process.kill(before.get(number)!, signal);
    await until('its streams are back', () => cameBack() === theirs);
    await more();
    await until('the next worker listens', () => workersOf(instance).get(number) !== before.get(number));
    for (let asked = 0; asked < ASKED; asked++) {
      const { missing = [] } = await (await fetch(`${instance.url}/instances`, { headers: { connection: 'close' } })).json() as { readonly missing?: readonly string[] };
      if (missing.includes(dead)) t.fail('nobody waits for the dead');
    }
    await more();
    t.equal(cameBack(), theirs, 'streams of the other worker were open all the time');
    t.same(await byWorker(instance, 'tidings_worker_up'), new Map([['1', 1], ['2', 1]]));
  };
  await lose(2, 'SIGKILL');
  t.match(instance.output, /"number":2,[^\n]*"signal":"SIGKILL","reason":"killed","pauseMs":\d+/);
  // The first worker writes for both.
  await lose(1, 'SIGUSR2');
  // On a machine that is very slow it may be silent for so long meanwhile that its supervisor takes it for frozen.
  t.match(instance.output, /JavaScript heap out of memory|"number":1,[^\n]*"reason":"frozen"/);
  t.match(instance.output, /"number":1,[^\n]*"signal":"SIG(?:ABRT|KILL)","reason":"(?:killed|frozen)","pauseMs":\d+/);

  for (const number of [1, 2]) {
    const id = await idOf(number);
    await until(`worker ${number} tells what its supervisor has warned of`, async () => {
      const { warnings } = await http.json<{ readonly warnings: readonly { readonly message: string; readonly worker?: string }[] }>(`/instances/${id}`);
      return warnings.some(({ message, worker }) => worker === 'supervisor' && message === 'a worker ended, and is started again');
    });
  }
  t.match(await scrape(instance.url), /^tidings_warnings_total\{level="warn",worker="supervisor"\} [2-9]$/m);

  // Its outputs close when the last process that has them is gone.
  instance.kill('SIGKILL');
  await instance.exited;
  t.match(instance.output, /the supervisor of the workers is gone, so this worker ends/);
  await instance.restart();
  t.equal(readdirSync(folder).length, 1, 'what the first supervisor left is gone');
  stopped = true;
  await running;

  const last = publishers.notes.at(-1)!.text;
  for (const stream of streams) await stream.when(() => stream.entries.some((entry) => entry.kind === 'message' && entry.text === last));
  const history = await readHistory(new Http(t, instance.url));
  t.same(summarise(check({ publications: publishers.notes, streams: streams.map(({ record }) => record), history })), []);
  instance.kill('SIGINT');
  t.same(await instance.exited, { code: 0, signal: null });
});
