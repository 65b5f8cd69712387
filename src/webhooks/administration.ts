import { randomName } from '../store/names.ts';
import type { Starts, StartRequest } from '../log/history/start-position.ts';
import type { Tail } from '../log/tail/tail.ts';
import type { Actor } from '../model/actor.ts';
import type { Start } from '../model/gap.ts';
import { formatId, parseId } from '../model/position.ts';
import { Problem } from '../model/problem.ts';
import { Filter } from '../model/topic.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import { orProblem } from '../store/change-problem.ts';
import { StoreError } from '../store/store.ts';
import type { WebhookRecord, WebhookStatus, WebhookStore } from '../store/contracts/webhook-store.ts';
import { describeAttempt, isTaken } from './attempt.ts';
import { CIRCUIT_OPEN_FAILURES } from './backoff.ts';
import { testDelivery } from './body.ts';
import type { Sender } from './sender.ts';
import { deadTopicOf, settingsOf, settingsText, type WebhookSettings } from './settings.ts';
import { signatureHeaders, type SigningSecret } from './signature.ts';
import { changedSettings, readReplay, readRotation, readWebhookRequest, type WebhookBounds } from './webhook-request.ts';

/** The length of a random id. */
const WEBHOOK_ID_CHARACTERS = 16;
/** How often a change is tried when another change came first. */
const CHANGE_MAX_COMMITS = 5;
/** The most test deliveries at a time. Stops a script from opening many connections to receivers that hang. */
const TESTS_MAX_REQUESTS = 4;

export interface WebhookAdministrationDependencies {
  readonly store: WebhookStore;
  readonly starts: Pick<Starts, 'isReady' | 'resolve'>;
  readonly tail: Pick<Tail, 'head' | 'log'>;
  readonly sender: Pick<Sender, 'send'>;
  readonly bounds: WebhookBounds;
  /** The store's clock: milliseconds since 1970. */
  readonly now: () => number;
  /** Writes audit lines. */
  readonly logger: Pick<Logger, 'info'>;
  /** Called after each change, to apply it on this instance at once. */
  readonly onChange: () => Promise<void>;
}

/** A webhook for its administrator. A new secret is shown only in the answer to the request that made it. */
export interface ShownWebhook {
  readonly webhook: object;
  readonly secret?: string;
}

/** Makes, changes and deletes webhooks, and writes an audit line for each change. Audit lines have no secret, and no URL, because a URL may contain a secret. */
export class WebhookAdministration {
  readonly #deps: WebhookAdministrationDependencies;
  #tests = 0;

  constructor(deps: WebhookAdministrationDependencies) {
    this.#deps = deps;
  }

  /** Rejects with a `Problem`, as all methods do. */
  async create(body: unknown, by: Actor): Promise<ShownWebhook> {
    const { settings, from } = readWebhookRequest(body, this.#deps.bounds);
    const cursor = await this.#cursorOf(from, settings);
    const record = await asked(this.#deps.store.createWebhook({ id: randomName(WEBHOOK_ID_CHARACTERS), settings: settingsText(settings), cursor }));
    if (record === undefined) throw new Problem('forbidden', 'There are too many webhooks: delete some first.');
    await this.#changed('webhook-created', record.id, by, 'a webhook was made');
    return { webhook: await this.#shown(record), secret: settings.secrets[0]!.secret };
  }

  async list(page: { readonly after: string; readonly limit: number }): Promise<readonly object[]> {
    return this.#describe(await asked(this.#deps.store.listWebhooks(page)));
  }

  async find(id: string): Promise<object> {
    return this.#shown(await this.#record(id));
  }

  async change(id: string, body: unknown, by: Actor): Promise<object> {
    return this.#shown(await this.#changeTo(id, 'webhook-changed', by, 'a webhook was changed', (record, settings) => ({ settings: changedSettings(settings, body, this.#deps.bounds), status: record.status, restart: 'here' })));
  }

  async pause(id: string, by: Actor): Promise<object> {
    return this.#shown(await this.#changeTo(id, 'webhook-paused', by, 'a webhook was paused', (_record, settings) => ({ settings, status: 'paused', restart: undefined })));
  }

  async resume(id: string, by: Actor): Promise<object> {
    return this.#shown(await this.#changeTo(id, 'webhook-resumed', by, 'a webhook was resumed', (_record, settings) => ({ settings, status: 'active', restart: 'here' })));
  }

  async replay(id: string, body: unknown, by: Actor): Promise<object> {
    const from = readReplay(body);
    const settings = settingsOf((await this.#record(id)).settings);
    if (from.kind === 'after') await this.#mustExist(from, settings);
    const cursor = await this.#cursorOf(from, settings);
    return this.#shown(await this.#changeTo(id, 'webhook-replayed', by, 'a webhook was moved to another position of the log', (record, before) => ({ settings: before, status: record.status, restart: cursor })));
  }

  async rotate(id: string, body: unknown, by: Actor): Promise<ShownWebhook> {
    const { overlapMs, secret } = readRotation(body);
    const record = await this.#changeTo(id, 'webhook-rotated', by, 'a webhook got a new secret', ({ status }, settings) => {
      const until = this.#deps.now() + overlapMs;
      const [newest] = settings.secrets;
      const secrets: readonly SigningSecret[] = [{ secret }, ...(overlapMs === 0 || newest === undefined || newest.secret === secret ? [] : [{ secret: newest.secret, until }])];
      return { settings: { ...settings, secrets }, status, restart: 'here' };
    });
    return { webhook: await this.#shown(record), secret };
  }

  async remove(id: string, by: Actor): Promise<void> {
    if (!await asked(this.#deps.store.deleteWebhook(id))) throw missing();
    await this.#changed('webhook-deleted', id, by, 'a webhook was deleted');
  }

  async attempts(id: string, limit: number): Promise<readonly object[]> {
    await this.#record(id);
    return (await asked(this.#deps.store.listAttempts(id, limit))).map(describeAttempt);
  }

  /** Sends a test delivery from this instance, once, even if another instance owns the webhook. */
  async test(id: string, signal: AbortSignal): Promise<object> {
    const settings = settingsOf((await this.#record(id)).settings);
    if (this.#tests >= TESTS_MAX_REQUESTS) throw new Problem('overloaded', 'Too many test deliveries are under way on this instance.');
    this.#tests += 1;
    try {
      const now = this.#deps.now();
      const delivery = testDelivery(`test-${randomName(WEBHOOK_ID_CHARACTERS)}`, settings.format, now);
      const { status, error, excerpt, milliseconds } = await this.#deps.sender.send({ url: settings.url, delivery, headers: signatureHeaders(delivery.id, delivery.body, settings.secrets, now), signal, mayStillSend: () => true });
      return { delivery: delivery.id, delivered: isTaken(status), status, error, milliseconds: Math.round(milliseconds), ...(excerpt === '' ? {} : { answer: excerpt }) };
    } finally {
      this.#tests -= 1;
    }
  }

  async #record(id: string): Promise<WebhookRecord> {
    const [record] = await asked(this.#deps.store.findWebhooks([id]));
    if (record === undefined) throw missing();
    return record;
  }

  /** Applies a change to the newest version of the record. Tries again if another change was stored first. */
  async #changeTo(id: string, audit: string, by: Actor, sentence: string, change: (record: WebhookRecord, settings: WebhookSettings) => { readonly settings: WebhookSettings; readonly status: WebhookStatus; readonly restart: string | undefined }): Promise<WebhookRecord> {
    for (let tries = 0; tries < CHANGE_MAX_COMMITS; tries++) {
      const record = await this.#record(id);
      const { settings, status, restart } = change(record, settingsOf(record.settings));
      const changed = await asked(this.#deps.store.changeWebhook({ id, version: record.version, settings: settingsText(settings), status, restart }));
      if (changed === undefined) continue;
      await this.#changed(audit, id, by, sentence);
      return changed;
    }
    throw new Problem('unavailable', 'The webhook is being changed by others. Nothing was changed.');
  }

  async #cursorOf(from: StartRequest, { topics }: WebhookSettings): Promise<string> {
    // If retention has deleted messages after it, the reader delivers a gap.
    if (from.kind === 'after') return formatId(from.position.epoch, from.position.seq);
    const { at } = await this.#resolve(from, topics);
    return formatId(at.epoch, at.seq);
  }

  /** Refuses an unknown id: a mistyped id would start the replay at the oldest message. @throws Problem */
  async #mustExist(from: StartRequest, { topics }: WebhookSettings): Promise<void> {
    const { gap } = await this.#resolve(from, topics);
    if (gap?.reason === 'unknown-log' || gap?.reason === 'ahead') throw new Problem('invalid-cursor', 'from is an id that this log does not know.', { field: 'from' });
  }

  async #resolve(from: StartRequest, topics: readonly string[]): Promise<Start> {
    if (!this.#deps.starts.isReady) throw unavailable();
    try {
      return await this.#deps.starts.resolve(from, { filter: new Filter(topics), hasLeft: () => false });
    } catch (error) {
      throw error instanceof StoreError ? unavailable(error) : error;
    }
  }

  async #shown(record: WebhookRecord): Promise<object> {
    return (await this.#describe([record]))[0]!;
  }

  /** Webhooks for administrators, each with its newest attempt if that failed. */
  async #describe(records: readonly WebhookRecord[]): Promise<readonly object[]> {
    const newest = await asked(this.#deps.store.newestAttempts(records.map(({ id }) => id)));
    const attempts = new Map(newest.map((one) => [one.webhook, describeAttempt(one)]));
    return records.map((record) => {
      const { id, status, reason, created, cursor, failures, failingSince, nextAt, owner } = record;
      const settings = settingsOf(record.settings);
      const { url, topics, events, format, secrets } = settings;
      const attempt = attempts.get(id);
      return {
        id, url, topics, events, format, deadTopic: deadTopicOf(id, settings), status, reason, created: timeText(created), cursor, behind: this.#behind(cursor), owner: owner === '' ? undefined : owner,
        circuit: failures >= CIRCUIT_OPEN_FAILURES ? 'open' : 'closed', failures, failingSince: failures === 0 ? undefined : timeText(failingSince), nextAttempt: nextAt === 0 ? undefined : timeText(nextAt),
        lastError: attempt === undefined || isTaken(attempt.status) ? undefined : attempt,
        oldSecretUntil: timeText(secrets.find(({ until }) => until !== undefined && until > this.#deps.now())?.until),
      };
    });
  }

  /** How many numbers of the log come after a cursor; undefined if the cursor is of another log. */
  #behind(cursor: string): number | undefined {
    const { tail } = this.#deps;
    const position = parseId(cursor);
    if (position === undefined || tail.log?.lineage.isGood(position) !== true) return undefined;
    return Math.max(0, tail.head.seq - position.seq);
  }

  #changed(audit: string, id: string, { name, client }: Actor, sentence: string): Promise<void> {
    this.#deps.logger.info({ audit, webhook: id, by: name, client }, sentence);
    return this.#deps.onChange();
  }
}

function timeText(time: number | undefined): string | undefined {
  return time === undefined ? undefined : new Date(time).toISOString();
}

function missing(): Problem {
  return new Problem('not-found', 'There is no such webhook.', { field: 'id' });
}

function unavailable(cause?: unknown): Problem {
  return new Problem('unavailable', 'The message log cannot be read just now.', { cause });
}

function asked<Answer>(answer: Promise<Answer>): Promise<Answer> {
  return orProblem(answer, { unknown: 'It is not known whether the change was stored: look at the webhook, or list the webhooks.', unavailable: 'The webhooks cannot be read or changed now. Nothing was changed.' });
}
