import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Peer, Server } from '../types.ts';
import { MESSAGE_BYTES } from './figures.ts';
import { gauge, scrape } from './loop.ts';
import type { Setting } from './scenario.ts';
import { withServer } from './session.ts';

/** Logs with many old messages: made once in a run, by publishing them, and kept until it ends. */

/** Nothing of a large log may be deleted while it is measured. */
export const KEEP = { RETENTION_SECONDS: '0', RETENTION_BYTES: '0' };

/** Messages of one request: the service's own bound. */
const BATCH = 1_000;
const CONNECTIONS = 4;
/** Messages a second, before it is known what the service takes. */
const FIRST_GUESS = 50_000;
const LEAST_SECONDS = 0.5;
const MOST_SECONDS = 20;
/** The last messages are published on a schedule, so many a second: every service takes that. */
const EXACTLY = 20_000;
/** Of messages of one topic in a prepared log. */
const PER_TOPIC = 1_000;
/** Topics of the log's end. */
const LAST_TOPICS = 10;
/** Its messages are spread over the whole log, and those of the other stand among its last ten thousand. */
export const OLD_TOPIC = 'bench.t0';
export const LAST_TOPIC = 'bench.last0';

const made = new Map<string, Promise<string>>();

/**
 * The folder of a log with so many messages: on so many topics (`bench.t0` and on) that each has a thousand,
 * spread over the whole log, and after them a thousand on each of ten more.
 */
export function preparedLog(peer: Peer, messages: number, { scratch, say }: Setting): Promise<string> {
  const folder = join(scratch, `log-${messages}`);
  const log = made.get(folder) ?? make(peer, folder, messages, say);
  made.set(folder, log);
  return log;
}

async function make(peer: Peer, folder: string, messages: number, say: (progress: string) => void): Promise<string> {
  await mkdir(folder);
  const old = { name: 'bench.t{i}', count: Math.max(1, messages / PER_TOPIC) };
  const last = { name: 'bench.last{i}', count: LAST_TOPICS };
  await withServer(peer, { folder, env: KEEP }, async ({ server, load, target }) => {
    const what = { ...target, bytes: MESSAGE_BYTES, batch: BATCH, connections: 1 };
    let perSecond = FIRST_GUESS;
    for (let missing = messages; missing > 0; missing = messages - await held(server)) {
      say(`making a log of ${messages} messages: ${missing} are missing`);
      const seconds = Math.min(MOST_SECONDS, (missing - EXACTLY) / perSecond);
      // As fast as it goes; the end by count, so that the log is as long as it is called.
      if (seconds > LEAST_SECONDS) perSecond = (await load.flood({ ...what, topics: old, connections: CONNECTIONS, seconds })).perSecond;
      else await load.publish({ ...what, topics: old, rate: EXACTLY, seconds: missing / EXACTLY });
    }
    await load.publish({ ...what, topics: last, rate: PER_TOPIC * LAST_TOPICS, seconds: 1 });
  });
  return folder;
}

/** Messages that a log holds, by the service's own word: it has no holes. */
export async function held(server: Server): Promise<number> {
  const text = await scrape(server, 0) ?? '';
  const [head, oldest] = [gauge(text, 'tidings_log_head'), gauge(text, 'tidings_log_oldest')];
  if (!Number.isFinite(head) || !Number.isFinite(oldest)) throw new Error('the service does not tell the length of its log');
  return head - oldest + 1;
}

interface Page {
  readonly messages: readonly { readonly id: string }[];
  readonly cursor: string;
  readonly more: boolean;
}

/** All messages of a topic, counted by its history. */
export async function countOf(server: Server, topic: string): Promise<number> {
  let count = 0;
  let after = 'start';
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${server.ports[0]}/topics/${topic}/messages?limit=1000&after=${after}`);
    if (!answer.ok) throw new Error(`the history of ${topic} answered ${answer.status}`);
    const page = await answer.json() as Page;
    count += page.messages.length;
    if (!page.more) return count;
    after = page.cursor;
  }
}
