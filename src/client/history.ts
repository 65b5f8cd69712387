import type { Message } from './api.ts';
import type { Page } from './history-pages.ts';
import { iterationOf } from './iteration.ts';
import { isRefusal, type TidingsError } from './requests.ts';
import type { HistoryStart, Reading } from './reading.ts';
import { placeOf, topicQuery } from './topics.ts';
import { pause, pauseAfter } from './waiting.ts';

/** Bounds the memory of one page. */
const PAGE_MESSAGES = 500;

/** Reads history for a subscription that is behind, until it is live, refused or has a new run. With `getState` it first gets the cursor from the application, and retries if that fails. */
export async function read(reading: Reading, { getState, ...start }: HistoryStart): Promise<void> {
  const { run } = reading;
  if (getState === undefined) return catchUp(reading, start);
  for (let failures = 0; run === reading.run;) {
    try {
      const after = await getState();
      if (run === reading.run) await catchUp(reading, { after });
      return;
    } catch (error) {
      if (run !== reading.run) return;
      reading.error(error instanceof Error ? error : new Error('getState failed', { cause: error }));
      await pause(pauseAfter(++failures), reading.signal);
    }
  }
}

/**
 * Reads pages of history until history and stream meet without a hole. For example, with the stream at number 900:
 *
 *     page 1   after 100, until 900     `more`: read the next page. What the stream delivers meanwhile is dropped
 *     page 2   after 600, until 930     the stream is at 930 now, and delivers 931 and 932 during the read: `held`
 *     the end  no `more`: live above 930, then the held 931 and 932
 *
 * If `held` overflows (`reading.held` is no longer this page's list), another page is read.
 */
async function catchUp(reading: Reading, start: HistoryStart): Promise<void> {
  const { run } = reading;
  const consumer = reading.isLoop ? iterationOf(reading) : undefined;
  reading.reached = start.after;
  let next = start;
  for (let failures = 0; run === reading.run;) {
    await consumer?.room();
    const held: Message[] = reading.held = [];
    const until = reading.stream.cursor!;
    if (next.after === until) return reading.live(placeOf(until));
    let page: Page;
    try {
      page = await pageOf(reading, next, until);
      failures = 0;
    } catch (error) {
      if (run !== reading.run) return;
      if (isFinal(error)) {
        reading.refuse(error);
        return reading.stream.change();
      }
      await pause(pauseAfter(++failures), reading.signal);
      continue;
    }
    if (run !== reading.run) return;
    if (page.gap !== undefined) {
      reading.emit('gap', page.gap);
      if (run !== reading.run) return;
    }
    for (const message of page.messages) {
      if (message.erased === true) reading.take('$erased', { id: message.id, topic: message.topic });
      else if (consumer === undefined) reading.hand(message);
      else consumer.take(message);
      if (run !== reading.run) return;
    }
    next = { after: page.cursor };
    reading.reached = page.cursor;
    if (page.more || reading.held !== held) continue;
    reading.live(Math.max(placeOf(until), placeOf(page.cursor)));
    for (const message of held) reading.take(message.event, message);
  }
}

async function pageOf({ topic, requests, signal }: Reading, start: HistoryStart, until: string): Promise<Page> {
  const query = topicQuery([topic]);
  for (const [name, value] of Object.entries({ ...start, until, limit: PAGE_MESSAGES })) if (value !== undefined) query.set(name, String(value));
  const answer = await requests.send(`/messages?${query.toString()}`, { signal });
  return await answer.json() as Page;
}

/**
 * Whether a retry is useless. Two refusals are retried. A 401: the stream gets a new token, or ends as `denied`. An `until` that the log does not know: the stream is about to send `$gap`.
 */
function isFinal(error: unknown): error is TidingsError {
  return isRefusal(error) && error.status !== 401 && error.field !== 'until';
}
