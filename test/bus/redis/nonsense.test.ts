import { createServer } from 'node:net';
import { inspect } from 'node:util';
import t from 'tap';
import type { Bus } from '../../../src/bus/bus.ts';
import { openBus } from '../../support/bus.ts';
import { listening } from '../../support/listening.ts';
import { freePort } from '../../support/ports.ts';
import { startRedis } from '../../support/redis.ts';
import type { Scope } from '../../support/temp.ts';
import { until } from '../../support/until.ts';

/** Speaks for a sentinel: answers what `where` says to whoever asks for the address, and the least to all else. Resolves with its port. */
async function impostor(t: Scope, where: () => string): Promise<number> {
  const server = createServer((socket) => {
    let text = '';
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      text += data.toString('latin1');
      for (;;) {
        const words = text.split('\r\n');
        const length = 1 + 2 * Number(words[0]!.slice(1));
        if (words.length <= length) return;
        text = words.slice(length).join('\r\n');
        const asked = words.slice(1, length).join(' ');
        socket.write(/GET-MASTER-ADDR-BY-NAME/i.test(asked) ? where() : /^\$4 PING$/i.test(asked) ? '+PONG\r\n' : '+OK\r\n');
      }
    });
  });
  const port = await listening(server);
  t.teardown(() => server.close());
  return port;
}

/** How often a test tries to see one answer. On a machine that stands still for seconds, the server looks too slow instead. */
const ATTEMPTS = 5;

/** A bus that is degraded, and logged this reason first. */
async function degraded(t: Scope, url: string, reason: RegExp): Promise<{ readonly bus: Bus; readonly lines: readonly string[] }> {
  for (let attempt = 1; ; attempt++) {
    const { bus, lines } = openBus(t, url, 'log-nonsense');
    await until('it is logged', () => lines.length > 0);
    if (attempt === ATTEMPTS || reason.test(lines[0]!)) return { bus, lines };
    await bus.close();
  }
}

function list(...texts: string[]): string {
  return `*${texts.length}\r\n${texts.map((text) => `$${text.length}\r\n${text}\r\n`).join('')}`;
}

t.test('a sentinel that names no address, or none that there can be, is told of in short; once it names one, that is used', async (t) => {
  const { port } = await startRedis(t);
  const right = list('127.0.0.1', String(port));
  const wrong: readonly (readonly [string, RegExp])[] = [
    [list('127.0.0.1', 'nonsense'), /knows no address of the master/], [list('127.0.0.1', '70000'), /knows no address of the master/], [list('127.0.0.1', '0'), /knows no address of the master/],
    [list('', String(port)), /knows no address of the master/], ['*2\r\n$-1\r\n$-1\r\n', /knows no address of the master/], ['*0\r\n', /knows no address of the master/],
    [list('no\0host', '6379'), /without null bytes/], [list('x'.repeat(200_000), '6379'), /xxx/], [`-ERR ${'x'.repeat(200_000)}\r\n`, /ERR xxx/], [':1\r\n', /knows no master of that name/],
  ];
  await Promise.all(wrong.map(async ([answer, reason]) => {
    let where = answer;
    const sentinel = await impostor(t, () => where);
    const { bus, lines } = await degraded(t, `redis+sentinel://127.0.0.1:${sentinel}/m`, reason);
    t.match(lines[0], reason);
    t.ok(lines[0]!.length < 1_000, `${lines[0]!.length} characters`);
    where = right;
    await until('it is up', () => bus.state === 'up');
    await bus.close();
  }));
});

t.test('a server that does not know how to take a password repeats it; the logger never sees it', async (t) => {
  const { port } = await startRedis(t, { settings: ['--rename-command', 'AUTH', '', '--rename-command', 'HELLO', ''] });
  for (const url of [`redis://us3r:hunter2@127.0.0.1:${port}`, `redis+sentinel://127.0.0.1:${port},127.0.0.1:${await freePort()}/m?sentinelPassword=hunter2`]) {
    const { bus, lines } = await degraded(t, url, /unknown command 'auth'/i);
    t.match(lines[0], /unknown command 'auth'/i);
    t.notMatch(inspect(lines, { maxStringLength: null }), /hunter2|us3r/);
    await bus.close();
  }
});
