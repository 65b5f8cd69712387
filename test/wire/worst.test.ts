import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { PARSING_FACTOR } from '../../src/http/input/batch-turns.ts';
import { Child } from '../support/child.ts';
import { openStream, type SseStream } from '../support/client.ts';
import { each, Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { freePort } from '../support/ports.ts';
import { median, peakResidentBytes } from '../support/memory.ts';
import { ProcessorSpeed } from '../support/processor-speed.ts';
import { rounds } from '../support/rounds.ts';
import { until } from '../support/until.ts';

/**
 * Everything that clients can do to a service, at the same time: what fairness.test.ts, test/stream/memory.test.ts and others do one by one (test/support/attackers.ts). Beside it 100 streams
 * and their publisher, who notice nothing but that the processor has more to do. They have their connections already: a newcomer's
 * waits for as many turns as there are before it. Who asks for health has the port for operations, and a new connection each time. Seen to fail where batches do not
 * share a slice of each turn (runtime/slices.ts): a turn took 240 ms. Pages are of JSON: one of large texts is put together in a turn of up to 90 ms.
 */

const MIB = 1024 * 1024;
const STREAMS = 100;
const MESSAGE_BYTES = 2 * MIB;
const BATCH_BYTES = 4 * MIB;
const TAIL_BYTES = 8 * MIB;
const QUEUE_BYTES = 16 * MIB;
const REQUEST_BYTES = 24 * MIB;
const ANSWER_BYTES = 24 * MIB;
const FILTER_BYTES = 8 * MIB;
const UNREAD_BYTES = 16 * MIB;
const RETENTION_BYTES = 64 * MIB;
const MAX_STREAMS = 1_000;

const SETTINGS = {
  MESSAGE_BYTES: String(MESSAGE_BYTES), BATCH_BYTES: String(BATCH_BYTES), TAIL_BYTES: String(TAIL_BYTES), APPEND_QUEUE_BYTES: String(QUEUE_BYTES),
  REQUEST_BYTES: String(REQUEST_BYTES), ANSWER_BYTES: String(ANSWER_BYTES), FILTER_BYTES: String(FILTER_BYTES), UNREAD_BYTES: String(UNREAD_BYTES), MAX_STREAMS: String(MAX_STREAMS),
  RETENTION_BYTES: String(RETENTION_BYTES), STALL_SECONDS: '3600', LOG_LEVEL: 'warn',
  NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, '../support/turn-meter.ts')).href}`,
};

/** How long it goes on, at least. Milliseconds. */
const CALM_MS = 1_000;
const ATTACK_MS = rounds(8_000, 180_000);
const PUBLISH_EVERY_MS = 50;

const KINDS = ['filters', 'patterns', 'unread', 'pages', 'batches', 'crowds', 'halves', 'heads', 'polls', 'singles', 'replays', 'searches', 'streams', 'churn'];

/** The goal is 50 ms for a turn of the event loop, without the garbage of it. A processor whose caches others use takes longer for the same, and is measured beside it. */
const TURN_MAX_MS = 150;
/** The processor has two cores, and those who attack want both. So what takes some milliseconds in calm times may take so many times as long. */
const SLOWER_FACTOR = 100;

/** The sum of docs/capacity.md ("Memory"), beyond what the process takes when it has just started. Bytes. */
const GARBAGE_BYTES = 400 * MIB;
const SUM_BYTES = GARBAGE_BYTES + 9 * 1024 * MAX_STREAMS + TAIL_BYTES + 2 * REQUEST_BYTES + PARSING_FACTOR * (BATCH_BYTES + 4 * MIB) + QUEUE_BYTES + 4 * BATCH_BYTES
  + ANSWER_BYTES + 8 * (4 * MIB + MESSAGE_BYTES) + FILTER_BYTES + UNREAD_BYTES + MESSAGE_BYTES;

/** The sum of docs/operations.md ("The disk"), for SQLite: messages, what this instance publishes beyond the bound, its keys, and the write-ahead log with a commit. Bytes. */
const DISK_BYTES = 2.2 * (RETENTION_BYTES + 8 * MIB + 2 * 8 * MIB) + 2_400 * 10_000 + 96 * MIB + 8 * MIB;

interface Sample {
  readonly answered: number;
  readonly delivered: number;
  readonly health: number;
}

const opsPort = await freePort();
const instance = await startInstance(t, { ...SETTINGS, OPS_PORT: String(opsPort) });
const http = new Http(t, instance.url, 8);
const before = peakResidentBytes(instance.pid);
const streams: SseStream[] = [];
await each(STREAMS, 10, async (index) => void streams.push(await openStream(t, `${instance.url}/events?topic=good.all&topic=good.${index}`)));

const ids: string[] = [];
const speed = new ProcessorSpeed();

/** Publishes like somebody with something to say, until it is over, and measures how long each message takes to get everywhere. */
async function live(isOver: () => boolean): Promise<Sample[]> {
  const samples: Sample[] = [];
  while (!isOver()) {
    const began = performance.now();
    const id = await http.publish('good.all', `message ${ids.length}`, { 'Idempotency-Key': `good-${ids.length}` });
    const answered = performance.now() - began;
    ids.push(id);
    await Promise.all(streams.map((stream) => stream.until(() => stream.events.at(-1)?.id === id)));
    const delivered = performance.now() - began;
    const asked = performance.now();
    t.equal((await fetch(`http://127.0.0.1:${opsPort}/healthz`, { headers: { Connection: 'close' } })).status, 200);
    samples.push({ answered, delivered, health: performance.now() - asked });
    speed.sample();
    await sleep(PUBLISH_EVERY_MS);
  }
  return samples;
}

function lasting(milliseconds: number): () => boolean {
  const until = performance.now() + milliseconds;
  return () => performance.now() > until;
}

function medianOf(samples: readonly Sample[], what: keyof Sample): number {
  return median(samples.map((sample) => sample[what]));
}

function told(samples: readonly Sample[]): string {
  return (['answered', 'delivered', 'health'] as const).map((what) => `${what} ${medianOf(samples, what).toFixed(1)} ms, at most ${Math.max(...samples.map((sample) => sample[what])).toFixed(1)}`).join('; ');
}

function diskBytes(): number {
  const folder = join(instance.folder, 'data');
  return readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
}

async function longestTurn(): Promise<number> {
  const from = instance.output.length;
  instance.kill('SIGWINCH');
  const said = (): string | undefined => /longest turn ([0-9.]+) ms/.exec(instance.output.slice(from))?.[1];
  await until('it tells its longest turn', () => said() !== undefined);
  return Number(said());
}

t.test('100 streams and their publisher notice nothing of clients that do their worst in every way at once', async (t) => {
  await live(lasting(CALM_MS / 2));
  const calm = await live(lasting(CALM_MS));
  await longestTurn();
  speed.takeSlowness();
  const attackers = new Child(t, process.execPath, [join(import.meta.dirname, '../support/attackers.ts'), String(instance.port)], { env: {} });
  const isLong = lasting(ATTACK_MS);
  const attacked = await live(() => isLong() && KINDS.every((kind) => attackers.output.includes(`${kind} came through`)));
  const turn = await longestTurn();
  const slowness = speed.takeSlowness();
  const grown = peakResidentBytes(instance.pid) - before;
  const disk = diskBytes();
  const metrics = await http.metrics();
  attackers.kill('SIGTERM');
  await attackers.exited;
  t.comment(attackers.output.slice(attackers.output.indexOf('attacked')));
  t.comment(`${calm.length} messages in calm: ${told(calm)}. ${attacked.length} under attack: ${told(attacked)}. The longest turn took ${turn} ms, on a processor that takes ${slowness.toFixed(1)} times as long as it might`);
  t.comment(`memory: ${Math.round(grown / MIB)} of ${Math.round(SUM_BYTES / MIB)} MiB; disk: ${Math.round(disk / MIB)} of ${Math.round(DISK_BYTES / MIB)} MiB`);

  t.ok(turn < TURN_MAX_MS * slowness, `the longest turn of the event loop took ${turn} ms of the processor's time`);
  for (const what of ['answered', 'delivered', 'health'] as const) t.ok(medianOf(attacked, what) < SLOWER_FACTOR * medianOf(calm, what), `${what}: ${medianOf(attacked, what)} ms instead of ${medianOf(calm, what)}`);
  t.ok(grown < SUM_BYTES, `it grew by ${Math.round(grown / MIB)} MiB`);
  t.ok(disk < DISK_BYTES, `the log takes ${Math.round(disk / MIB)} MiB`);
  t.ok(metrics.get('tidings_evicted_total{reason="bodies"}')! > 0, 'who held most of the bodies gave way');

  const wrong = streams.filter(({ events, faults }) => faults.length > 0 || events.filter(({ event }) => event !== '$open' && event !== '$cursor').map(({ id }) => id).join() !== ids.join());
  t.equal(wrong.length, 0, 'every stream got every message once, in order, and was told of no gap');
  t.equal(streams.length, STREAMS);
});
