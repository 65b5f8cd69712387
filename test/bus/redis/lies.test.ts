import t from 'tap';
import { message } from '../../contract/bus.ts';
import { flows, openBus } from '../../support/bus.ts';
import { seeded, type Random } from '../../support/fleet-random.ts';
import { Liar } from '../../support/liar.ts';
import { mutant, type Script } from '../../support/mutants.ts';
import { redisClient } from '../../support/redis-client.ts';
import { startRedis, type RedisServer } from '../../support/redis.ts';
import { rounds } from '../../support/rounds.ts';
import type { Scope } from '../../support/temp.ts';
import { until } from '../../support/until.ts';

const LOG = 'log-of-lies';
const CHANNEL = `tidings:${LOG}`;
/** Mutants for each server; 100,000 in all where there is time. */
const MUTANTS = rounds(500, 33_400, 400);
/** Mutants after which an honest server takes the liar's place. */
const BATCH = 400;
/** Mutants that are played at a time. */
const LIARS = 8;

function message3(kind: string, ...rest: string[]): string {
  return `3\r\n$${kind.length}\r\n${kind}\r\n${rest.join('')}`;
}

const channel = `$${CHANNEL.length}\r\n${CHANNEL}\r\n`;
/** What ioredis cannot bear where it does not expect it, and what costs memory. */
const PHRASES = [
  '$-1\r\n', '*-1\r\n', '*0\r\n', '>0\r\n', '_\r\n', ':1\r\n', '+OK\r\n', '-ERR no\r\n', '-MOVED 1 127.0.0.1:1\r\n', '$4294967295\r\n', '*4294967295\r\n', '*30000000\r\n'.repeat(40), '%30000000\r\n',
  '*1\r\n'.repeat(20_000), `(${'9'.repeat(100)}\r\n`, ',nan\r\n', '#t\r\n', '~1\r\n:1\r\n', '=3\r\ntxt\r\n', '!3\r\nERR\r\n', '|1\r\n+a\r\n+b\r\n', '\r\n',
  ...['>', '*'].flatMap((type) => [
    type + message3('message', '$-1\r\n', '$-1\r\n'), type + message3('message', channel, '$-1\r\n'), type + message3('message', channel, '$1\r\nx\r\n'), type + message3('message', ':1\r\n', ':1\r\n'),
    type + message3('subscribe', '$-1\r\n', ':1\r\n'), type + message3('subscribe', channel, ':1\r\n'), type + message3('unsubscribe', '$-1\r\n', ':0\r\n'), type + message3('sunsubscribe', channel, ':0\r\n'),
    type + message3('pmessage', '$-1\r\n', '$-1\r\n'), `${type}1\r\n$-1\r\n`, `${type}1\r\n*0\r\n`,
  ]),
].map((text) => Buffer.from(text, 'latin1'));

/** What the server says to the two connections of a bus, each told by the name that it gives itself. */
async function record(t: Scope, server: RedisServer, scheme: string): Promise<ReadonlyMap<string, Script>> {
  const liar = await Liar.start(t, server.port);
  const { bus, ear } = openBus(t, `${scheme}://127.0.0.1:${liar.port}`, LOG);
  const { bus: other, ear: otherEar } = openBus(t, server.url, LOG);
  await until('both are up', () => bus.state === 'up' && other.state === 'up');
  await flows(bus, otherEar);
  await flows(other, ear);
  await bus.close();
  await until('the ends are recorded', () => liar.open === 0);
  return new Map(liar.recordings.map(({ first, script }) => [nameIn(first), script]));
}

function nameIn(first: Buffer): string {
  return /tidings-(publisher|subscriber)/.exec(first.toString('latin1'))?.[0] ?? '';
}

const KINDS: readonly { readonly name: string; readonly scheme: string; readonly options: Parameters<typeof startRedis>[1] }[] = [
  { name: 'a server of RESP3', scheme: 'redis', options: {} },
  { name: 'a server of RESP2', scheme: 'redis', options: { settings: ['--rename-command', 'HELLO', ''] } },
  { name: 'a node of a cluster', scheme: 'redis+cluster', options: { cluster: true } },
];

t.setTimeout(MUTANTS * 30 + 120_000);

for (const { name, scheme, options } of KINDS) {
  t.test(`${name} that lies loses its connection, and the process lives`, async (t) => {
    const random = seeded(t);
    const server = await startRedis(t, options);
    if (scheme === 'redis+cluster') await redisClient(t, server).call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    const scripts = await record(t, server, scheme);
    t.same([...scripts.keys()].toSorted(), ['tidings-publisher', 'tidings-subscriber']);
    const liars = await Promise.all(Array.from({ length: LIARS }, () => Liar.start(t, server.port)));
    let played = 0;
    let refused = 0;
    while (played < MUTANTS) {
      const end = Math.min(MUTANTS, played + BATCH);
      await Promise.all(liars.map(async (liar) => {
        while (played < end) {
          played += 1;
          refused += await deceive(liar, scheme, scripts, random.fork());
        }
      }));
      await comesBack(t, liars[0]!, scheme, server, random.fork(), scripts);
    }
    t.comment(`${played} mutants, ${refused} reported as lies, ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB`);
    t.ok(refused > played / 50, `${refused} of ${played} were noticed`);
  });
}

/** Plays one mutant to a bus, until both of its connections are over. Resolves with 1 if the bus reported a lie. */
async function deceive(liar: Liar, scheme: string, scripts: ReadonlyMap<string, Script>, random: Random): Promise<number> {
  const scope = new Teardowns();
  const mutants = mutated(scripts, random);
  liar.lie((first) => mutants.get(nameIn(first)) ?? []);
  const { bus, lines } = openBus(scope, `${scheme}://127.0.0.1:${liar.port}`, LOG);
  let seq = 0;
  liar.said = () => bus.publish([message(++seq)]);
  await liar.done(2);
  await bus.close();
  return lines.some((line) => /Redis (sent|answered|announced)/.test(line)) ? 1 : 0;
}

function mutated(scripts: ReadonlyMap<string, Script>, random: Random): Map<string, Script> {
  return new Map([...scripts].map(([name, script]) => [name, mutant(script, random, PHRASES)]));
}

/** A bus that was lied to works as soon as the server is honest. */
async function comesBack(t: Scope, liar: Liar, scheme: string, server: RedisServer, random: Random, scripts: ReadonlyMap<string, Script>): Promise<void> {
  const mutants = mutated(scripts, random);
  liar.lie((first) => mutants.get(nameIn(first)) ?? []);
  const { bus, ear } = openBus(t, `${scheme}://127.0.0.1:${liar.port}`, LOG);
  const { bus: other, ear: otherEar } = openBus(t, server.url, LOG);
  await until('it was lied to', () => liar.liedTo >= 2);
  liar.beHonest();
  await until('both are up', () => bus.state === 'up' && other.state === 'up');
  await flows(bus, otherEar);
  await flows(other, ear);
  await Promise.all([bus.close(), other.close()]);
}

/** A scope whose owner ends everything itself: thousands of handlers would wait for the end of the test. */
class Teardowns implements Scope {
  teardown(): void {
    // Nothing is left to do.
  }
}
