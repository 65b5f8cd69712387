import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync, realpathSync } from 'node:fs';
import { request, type ClientRequest, type IncomingMessage } from 'node:http';
import { basename } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { io } from 'socket.io-client';
import { peer, peers as plain } from '../peers/index.ts';
import { removeFolder, temporaryFolder } from '../peers/leftovers.ts';
import { postgresMissing, startPostgres } from '../peers/postgres.ts';
import { findProgram } from '../peers/programs.ts';
import { peers as all, WEBSOCKET } from '../scenarios/names.ts';
import type { Peer, Server, ServerOptions, WireName } from '../types.ts';
import { cpuSeconds, usage } from '../usage.ts';

/** Each server that is measured, tried once: a stream, a publish, and the event, with a client of another hand for Socket.IO. */

const TOPIC = 'news.today';
/** Longer than all of it takes on a slow machine: a server that does not deliver fails here. Milliseconds. */
const LIMIT_MS = 60_000;

const PATHS: Readonly<Record<Exclude<WireName, 'socket.io'>, { readonly stream: string; readonly publish: string }>> = {
  tidings: { stream: `/topics/${TOPIC}/events`, publish: `/topics/${TOPIC}` },
  'tidings-websocket': { stream: `/topics/${TOPIC}/events`, publish: `/topics/${TOPIC}` },
  nchan: { stream: `/sub/${TOPIC}`, publish: `/pub/${TOPIC}` },
  sse: { stream: `/events/${TOPIC}`, publish: `/publish/${TOPIC}` },
};

const peers = [...plain, ...all.filter(({ name }) => name === WEBSOCKET)];

for (const peer of peers) {
  test(`${peer.name} delivers what is published to it`, { skip: reason(peer), timeout: LIMIT_MS }, async (t) => {
    const server = await started(t, peer, {});
    assert.ok(usage(server.pids).rssBytes > 0);
    const [port = 0] = server.ports;
    const stream = await listen(t, server.wire, port);
    await publish(server.wire, port, 'one: ä');
    await stream.gets('one: ä');
    await publish(server.wire, port, '{"two":2}');
    await stream.gets('{"two":2}');
  });

  if (['bare-net', 'bare-http', 'better-sse'].includes(peer.name)) continue;
  test(`${peer.name} delivers through Redis to its other process, and after it was killed and came back`, { skip: reason(peer), timeout: LIMIT_MS }, async (t) => {
    const server = await started(t, peer, { instances: 2, redis: true });
    const [here = 0, there = 0] = server.ports;
    assert.notEqual(here, there);
    const stream = await listen(t, server.wire, there);
    await publishUntil(stream, server.wire, here, 'across');
    const before = server.pids;
    await server.restart?.(1);
    assert.equal(server.pids.length, before.length);
    const again = await listen(t, server.wire, there);
    await publishUntil(again, server.wire, here, 'again');
  });
}

test('tidings on PostgreSQL counts PostgreSQL\'s processes, stores what is published to it, and leaves nothing', { skip: postgresMissing() ?? false, timeout: LIMIT_MS }, async (t) => {
  const server = await started(t, peer('tidings'), { postgres: true });
  const [port = 0] = server.ports;
  const programs = server.pids.map((pid) => readlinkSync(`/proc/${pid}/exe`));
  assert.equal(programs.filter((program) => program === realpathSync(process.execPath)).length, 1);
  // The one that waits for connections, those that write in the background, and one for each connection.
  assert.ok(programs.filter((program) => basename(program) === 'postgres').length > 2, programs.join());
  const stream = await listen(t, server.wire, port);
  await publish(server.wire, port, 'one');
  await stream.gets('one');
  // The instance alone is killed: what it had stored is there.
  await server.restart?.(0);
  const answer = await fetch(`http://127.0.0.1:${port}/topics/${TOPIC}/messages`);
  assert.match(await answer.text(), /"one"/);
});

test('a PostgreSQL that is killed leaves no process, and comes back with what it had', { skip: postgresMissing() ?? false, timeout: LIMIT_MS }, async (t) => {
  const folder = temporaryFolder();
  t.after(() => removeFolder(folder));
  const postgres = await startPostgres(folder);
  t.after(() => postgres.stop());
  const { pids } = postgres;
  assert.ok(pids.length > 1);
  await postgres.kill();
  for (const pid of pids) assert.throws(() => usage([pid]), `process ${pid} is left`);
  await postgres.start();
  assert.ok(postgres.pids.length > 1);
});

test('of a server whose processes come and go, no CPU time is lost', async (t) => {
  // Half a second of work in a process that ends, and that the one that started it waits for.
  const script = "const { spawn } = require('node:child_process'); process.stdin.once('data', () => "
    + "spawn(process.execPath, ['-e', 'while (process.cpuUsage().user < 5e5);']).on('exit', () => console.log('over'))); setInterval(() => {}, 1e6);";
  const child = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const before = cpuSeconds([child.pid!]);
  child.stdin.write('go');
  await once(child.stdout, 'data');
  assert.ok(cpuSeconds([child.pid!]) - before >= 0.4);
});

test('a server that is started by a tracer counts without it', { skip: findProgram('strace') === undefined && 'strace is not installed: apt-get install strace' }, async (t) => {
  const server = await started(t, peer('tidings'), { by: ['strace', '-f', '-o', '/dev/null', '-e', 'trace=fdatasync'] });
  assert.equal(server.pids.length, 1);
});

/** Why it is not tried here; said in the run's output. */
function reason(peer: Peer): string | false {
  return peer.missing() ?? false;
}

async function started(t: TestContext, peer: Peer, options: ServerOptions): Promise<Server> {
  const server = await peer.start(options);
  t.after(async () => {
    const { pids } = server;
    await server.stop();
    for (const pid of pids) assert.throws(() => usage([pid]), `process ${pid} is left`);
  });
  return server;
}

interface Listener {
  gets(data: string): Promise<void>;
}

/** An open stream, once the server is known to have it. */
async function listen(t: TestContext, wire: WireName, port: number): Promise<Listener> {
  const got: string[] = [];
  let look: () => void = () => undefined;
  const receive = (data: string): void => {
    got.push(data);
    look();
  };
  if (wire === 'socket.io') {
    const socket = io(`http://127.0.0.1:${port}`, { transports: ['websocket'], forceNew: true });
    t.after(() => socket.disconnect());
    socket.on('message', receive);
    await socket.emitWithAck('join', TOPIC);
  } else if (wire === 'tidings-websocket') {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${PATHS[wire].stream}`);
    t.after(() => socket.close());
    const open = new Promise((resolve) => socket.addEventListener('message', resolve, { once: true }));
    socket.addEventListener('message', ({ data }) => {
      const { topic, data: published } = JSON.parse(String(data)) as { readonly topic?: string; readonly data: unknown };
      if (topic !== undefined) receive(String(published));
    });
    await open;
  } else {
    const { response, request: open } = await opened(port, PATHS[wire].stream);
    t.after(() => open.destroy());
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
        const data = /^data: ?(.*)$/m.exec(text.slice(0, end))?.[1];
        if (data !== undefined) receive(data);
        text = text.slice(end + 2);
      }
    }).on('error', () => undefined);
  }
  return {
    gets: (data) => new Promise((resolve) => {
      look = () => {
        if (got.includes(data)) resolve();
      };
      look();
    }),
  };
}

function opened(port: number, path: string): Promise<{ response: IncomingMessage; request: ClientRequest }> {
  return new Promise((resolve, reject) => {
    const open = request({ host: '127.0.0.1', port, path, agent: false, headers: { accept: 'text/event-stream' } }, (response) => resolve({ response, request: open }));
    open.once('error', reject).end();
  });
}

/** A stream of another process may be open before Redis knows of it: what is published then is lost, so it is said again. */
async function publishUntil(stream: Listener, wire: WireName, port: number, body: string): Promise<void> {
  let got = false;
  void stream.gets(body).then(() => {
    got = true;
  });
  while (!got) {
    await publish(wire, port, body);
    await sleep(20);
  }
}

async function publish(wire: WireName, port: number, body: string): Promise<void> {
  const path = wire === 'socket.io' ? PATHS.sse.publish : PATHS[wire].publish;
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body, headers: { 'Content-Type': 'text/plain' } });
  await answer.text();
  assert.ok([200, 201, 202].includes(answer.status), `${answer.status}`);
}
