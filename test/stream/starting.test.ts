import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Child } from '../support/child.ts';
import { openStream, type SseStream } from '../support/client.ts';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** What clients and operators see of an instance from its first moment on. */

const CLIENTS = 50;
const ATTEMPTS = 5;
/** More than Node lets wait to be accepted unless it is told to (511). */
const AT_ONCE = 1_000;
const SOMAXCONN = Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'));

/** Between two attempts of a client, of which there are many: together they ask several times in a millisecond. Milliseconds. */
const PAUSE = 15;

/** As an EventSource does it: where nobody answers, again. */
async function persist(t: Scope, url: string): Promise<SseStream> {
  for (;;) {
    const stream = await openStream(t, url).catch(() => undefined);
    if (stream !== undefined) return stream;
    await sleep(PAUSE);
  }
}

/** Another process that has the database locked, and goes on when it is told to. */
async function lock(t: Scope, instance: Instance): Promise<Child> {
  const locker = new Child(t, process.execPath, [join(import.meta.dirname, '../support/locker.ts'), join(instance.folder, 'data/tidings.db')], { env: {} });
  await locker.says('stopped inside a commit');
  return locker;
}

const instance = await startInstance(t, { LOG_LEVEL: 'warn', DRAIN_SECONDS: '0' });

void t.test('clients that try all the while an instance is started again get their streams: none is told to stay away', async (t) => {
  let answers: (string | undefined)[] = [];
  // The port does not stay closed for ever: a machine that stood still for so long is given another chance.
  for (let attempt = 0; attempt < ATTEMPTS && !answers.includes('$open'); attempt++) {
    instance.kill('SIGKILL');
    await instance.exited;
    const streams = Array.from({ length: CLIENTS }, () => persist(t, `${instance.url}/topics/a/events`));
    await instance.restart();
    answers = await Promise.all(streams.map(async (stream) => (await (await stream).next()).event));
    if (answers.includes('$busy')) answers = ['$busy'];
  }
  t.same(new Set(answers), new Set(['$open']));
});

void t.test('a database that is locked for long: health is answered meanwhile, and it goes on by itself', async (t) => {
  instance.kill('SIGKILL');
  await instance.exited;
  const locker = await lock(t, instance);
  const restarted = instance.restart();
  const http = new Http(t, instance.url);
  await until('it answers', async () => (await http.get('/healthz').catch(() => undefined))?.status === 200);
  const ready = await http.get('/readyz');
  t.match([ready.status, JSON.parse(ready.body)], [503, { status: 'starting' }]);
  t.equal((await http.post('a', 'x')).status, 503);
  t.equal((await (await openStream(t, `${instance.url}/topics/a/events`)).next()).event, '$busy');
  process.kill(locker.pid, 'SIGCONT');
  await restarted;
  t.equal((await http.post('a', 'x')).status, 201);
  t.equal((await (await openStream(t, `${instance.url}/topics/a/events`)).next()).event, '$open');
});

void t.test('a thousand connections at once are all accepted, also by an instance that is busy with something else', { skip: SOMAXCONN < AT_ONCE ? `the system lets only ${SOMAXCONN} wait` : false }, async (t) => {
  instance.kill('SIGSTOP');
  const sockets = Array.from({ length: AT_ONCE }, () => connect(instance.port, '127.0.0.1'));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  instance.kill('SIGCONT');
  t.equal(sockets.length, AT_ONCE);
});

void t.test('it can be ended while it waits for its database', async (t) => {
  instance.kill('SIGKILL');
  await instance.exited;
  const locker = await lock(t, instance);
  const waiting = await startInstance(t, { DRAIN_SECONDS: '0', DATABASE_URL: `file:${instance.folder}/data/tidings.db` }, { ready: ({ output }) => /HTTP answers/.test(output) });
  waiting.kill('SIGINT');
  await waiting.says('"msg":"draining"');
  process.kill(locker.pid, 'SIGCONT');
  t.strictSame(await waiting.exited, { code: 0, signal: null });
});
