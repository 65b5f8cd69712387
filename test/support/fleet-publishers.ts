import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Publication, PublicationAnswer, Stored } from './checker.ts';
import type { Random } from './fleet-random.ts';
import { Http, type Answer } from './http.ts';
import type { Scope } from './temp.ts';

export interface Patience {
  /** The pause before a request is sent again. Milliseconds. */
  readonly retryMin: number;
  readonly retrySpread: number;
  /** Stops a publisher that nobody ever answers. */
  readonly attempts: number;
  /** How long it waits for an answer, before it sends the request again. Milliseconds; without it, for ever. */
  readonly timeout?: number;
  /** One request in so many is sent once more though it was answered, as by one whose answer was lost. */
  readonly again?: number;
}

const PATIENCE: Patience = { retryMin: 10, retrySpread: 60, attempts: 500 };

/** "Not now": of these only the first says that nothing was done, and only with one of the codes below. The others are a load balancer's. */
const NOT_NOW: ReadonlySet<number> = new Set([503, 502, 504]);
/** Codes that say: certainly not stored. */
const NOT_STORED: ReadonlySet<string> = new Set(['unavailable', 'overloaded']);

export interface Note extends Publication {
  refused: string | undefined;
  readonly answers: PublicationAnswer[];
  /** When its first 201 was there: the clock of `sentAt`. */
  answeredAt: number | undefined;
}

interface Item {
  readonly topic: string;
  readonly text: string;
}

interface Receipt {
  readonly id: string;
  readonly topic: string;
  readonly time: string;
}

/** Publishes on any of several instances, and writes down what was sent and what was answered. */
export class Publishers {
  readonly notes: Note[] = [];
  readonly #instances: readonly Http[];
  readonly #random: Random;
  readonly #patience: Patience;
  readonly #watchers = new Set<() => void>();
  #held: PromiseWithResolvers<void> | undefined;
  /** Sent with every request from now on, but for those of `publishOnce`. */
  headers: Readonly<Record<string, string>> = {};
  /** Messages that got their 201. */
  acknowledged = 0;
  /** Requests that got no answer, or a 503. */
  refused = 0;
  /** Answers that said that a request with the same key was answered before. */
  replayed = 0;

  constructor(t: Scope, urls: readonly string[], random: Random, patience = PATIENCE) {
    this.#instances = urls.map((url) => new Http(t, url, 64, patience.timeout));
    this.#random = random;
    this.#patience = patience;
  }

  /** One message, until it has its 201: with one key, on the next instance each time. */
  async publish(topic: string, text: string, headers: Readonly<Record<string, string>> = {}): Promise<Note> {
    const [note] = this.note([{ topic, text }], headers['ttl'] !== undefined);
    const path = `/topics/${encodeURIComponent(topic)}`;
    await this.#insist([note!], path, { 'content-type': 'text/plain', ...headers }, text);
    return note!;
  }

  /** One message in one request without a key: where no answer comes, nobody knows whether it was stored. */
  async publishOnce(topic: string, text: string): Promise<void> {
    await this.#held?.promise;
    const notes = this.note([{ topic, text }]);
    const sentAt = performance.now();
    const answer = await this.#random.one(this.#instances).post(topic, text).catch(() => undefined);
    if (answer?.status === 201) this.answered(notes, answer, sentAt);
    else if (answer === undefined || NOT_NOW.has(answer.status)) {
      this.refused++;
      const code = answer?.status === 503 ? (JSON.parse(answer.body) as { readonly code: string }).code : 'no answer';
      if (NOT_STORED.has(code)) notes[0]!.refused = code;
    }
    else throw new Error(`POST ${topic}: ${answer.status} ${answer.body}`);
  }

  /** Several messages in one batch, all or none. */
  async publishBatch(items: readonly Item[]): Promise<readonly Note[]> {
    const notes = this.note(items);
    const lines = items.map(({ topic, text }) => ({ topic, data: text }));
    await (this.#random.below(2) === 0
      ? this.#insist(notes, '/messages', { 'content-type': 'application/json' }, JSON.stringify(lines))
      : this.#insist(notes, '/messages', { 'content-type': 'application/x-ndjson' }, lines.map((line) => JSON.stringify(line)).join('\n')));
    return notes;
  }

  /** Writes down what is about to be sent. */
  note(items: readonly Item[], fleeting = false): readonly Note[] {
    const notes = items.map(({ topic, text }): Note => ({ topic, text, sentAt: performance.now(), answers: [], answeredAt: undefined, fleeting, refused: undefined }));
    this.notes.push(...notes);
    return notes;
  }

  /** Writes down a 201, and when its request was sent: by default, when the first was. */
  answered(notes: readonly Note[], { headers, body }: Answer, sentAt = notes[0]!.sentAt): void {
    const parsed = JSON.parse(body) as Receipt | { readonly messages: readonly Receipt[] };
    const receipts = 'messages' in parsed ? parsed.messages : [parsed];
    if (receipts.length !== notes.length) throw new Error(`${notes.length} messages were sent, ${receipts.length} answered`);
    if (headers['idempotency-replayed'] === 'true') this.replayed++;
    const at = performance.now();
    notes.forEach((note, index) => {
      const { id, topic, time } = receipts[index]!;
      if (note.answers.length === 0) this.acknowledged++;
      note.answers.push({ id, topic, time, sentAt, at });
      note.answeredAt ??= at;
    });
    for (const watcher of this.#watchers) watcher();
  }

  /** Sends nothing more until `release`: while nobody is there to answer, asking only takes the machine from those who start. */
  hold(): void {
    this.#held ??= Promise.withResolvers();
  }

  release(): void {
    this.#held?.resolve();
    this.#held = undefined;
  }

  /** Resolves when so many messages have got their 201. */
  async reached(count: number): Promise<void> {
    while (this.acknowledged < count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#watchers.add(resolve);
      await promise;
      this.#watchers.delete(resolve);
    }
  }

  async #insist(notes: readonly Note[], path: string, headers: Readonly<Record<string, string>>, body: string): Promise<void> {
    const key = randomUUID();
    const start = this.#random.below(this.#instances.length);
    const { retryMin, retrySpread, attempts, again } = this.#patience;
    let more = again !== undefined && this.#random.below(again) === 0 ? 1 : 0;
    for (let attempt = 0; attempt < attempts; attempt++) {
      await this.#held?.promise;
      const http = this.#instances[(start + attempt) % this.#instances.length]!;
      const sentAt = performance.now();
      const answer = await http.send('POST', path, { ...this.headers, ...headers, 'idempotency-key': key }, body).catch(() => undefined);
      if (answer?.status === 201) {
        this.answered(notes, answer, sentAt);
        if (more-- === 0) return;
        continue;
      }
      if (answer !== undefined && !NOT_NOW.has(answer.status)) throw new Error(`POST ${path}: ${answer.status} ${answer.body}`);
      this.refused++;
      await sleep(retryMin + this.#random.below(retrySpread));
    }
    throw new Error(`POST ${path} was never answered`);
  }
}

/** Everything that the log holds, page by page, as GET shows it. */
export async function readHistory(http: Pick<Http, 'json'>, topic = '>'): Promise<Stored[]> {
  const all: Stored[] = [];
  for (let after = 'start'; ; ) {
    const page = await http.json<{ messages: Stored[]; cursor: string; more: boolean; gap?: object }>(`/messages?${new URLSearchParams({ topic, after, limit: '1000' }).toString()}`);
    if (page.gap !== undefined) throw new Error(`A gap in the history: ${JSON.stringify(page.gap)}`);
    all.push(...page.messages);
    if (!page.more) return all;
    after = page.cursor;
  }
}
