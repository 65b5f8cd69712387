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
/** What can be published within a second. */
const SMALL = 10_000;
/** Looked at so often whether there are enough. Seconds. */
const STRETCH_SECONDS = 5;
/** Of messages of one topic in a prepared log. */
const PER_TOPIC = 1_000;
/** Topics of the log's end. */
const LAST_TOPICS = 10;
/** Its messages are spread over the whole log, and those of the other stand among its last ten thousand. */
export const OLD_TOPIC = 'bench.t0';
export const LAST_TOPIC = 'bench.last0';

const made = new Map<string, Promise<string>>();

/**
 * The folder of a log with at least so many messages: on so many topics (`bench.t0` and on) that each has a thousand,
 * spread over the whole log, and behind them a thousand on each of ten more.
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
    for (let there = 0; there < messages; there = await held(server)) {
      say(`making a log of ${messages} messages: ${there}`);
      // A small log takes no stretch of seconds: it is published by count.
      if (messages <= SMALL) await load.publish({ ...what, topics: old, rate: messages, seconds: 1 });
      else await load.flood({ ...what, topics: old, connections: CONNECTIONS, seconds: STRETCH_SECONDS });
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
