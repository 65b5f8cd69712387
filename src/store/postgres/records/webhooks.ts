import { checkAttempts, checkNewWebhook, checkNotes, checkWebhookChange, checkWebhooks, shareOf, webhookRecord } from '../../rows/webhook-rows.ts';
import { KEPT_MAX_ATTEMPTS, MAX_WEBHOOKS, type DeliveryNote, type KeptAttempt, type LeasedWebhooks, type NewestAttempt, type NewWebhook, type WebhookChange, type WebhookOwner, type WebhookRecord, type WebhookStore } from '../../contracts/webhook-store.ts';
import { NOW, STANDBY } from '../connection/expressions.ts';
import { listIn, numberIn, numberOrNull, partsOf, textIn, textOrNull } from '../connection/json-values.ts';
import type { PgConnections } from '../connection/connection-pool.ts';
import type { Row } from '../connection/connection.ts';
import { literal, literalOrNull, numbers, strings, wholeNumber } from '../connection/literals.ts';

/** SQL: the `WebhookRow` of a row `w` as a JSON array, which `webhooksIn` reads. */
const WEBHOOK = 'json_build_array(w.id, w.version, w.settings, w.status, w.reason, w.created, w.cursor, w.failures, w.failing_since, w.next_at, w.owner, w.fence)';
const LOCK = "SELECT FROM pg_advisory_xact_lock(hashtext('tidings.webhooks'));";

/** Makes SQL of each method of `WebhookStore`, and reads its answer. */
export class PostgresWebhookStore implements WebhookStore {
  readonly #use: () => PgConnections;

  /** @param use Throws while the store is not open. */
  constructor(use: () => PgConnections) {
    this.#use = use;
  }

  async hasActiveWebhooks(): Promise<boolean> {
    return this.#use().glance(`SELECT EXISTS (SELECT FROM tidings.webhooks WHERE status = 'active'), ${STANDBY}`, ([row]) => row![0] === 't');
  }

  async createWebhook(webhook: NewWebhook): Promise<WebhookRecord | undefined> {
    checkNewWebhook(webhook);
    const { id, settings, cursor } = webhook;
    return this.#use().change(`${LOCK}
      INSERT INTO tidings.webhooks (id, version, settings, status, created, cursor, failures, next_at, owner, fence, attempted)
        SELECT ${literal(id)}, 1, ${literal(settings)}, 'active', ${NOW}, ${literal(cursor)}, 0, 0, '', 0, 0 WHERE (SELECT count(*) FROM tidings.webhooks) < ${MAX_WEBHOOKS} ON CONFLICT (id) DO NOTHING;
      ${found(`w.id = ${literal(id)}`)}`, ([row]) => webhooksIn(row!)[0]);
  }

  async listWebhooks({ after, limit }: { readonly after: string; readonly limit: number }): Promise<readonly WebhookRecord[]> {
    checkWebhooks(limit);
    return this.#use().glance(`SELECT (SELECT json_agg(${WEBHOOK} ORDER BY w.id) FROM (SELECT * FROM tidings.webhooks WHERE id > ${literal(after)} ORDER BY id LIMIT ${limit}) w), ${STANDBY}`, ([row]) => webhooksIn(row!));
  }

  async findWebhooks(ids: readonly string[]): Promise<readonly WebhookRecord[]> {
    checkWebhooks(ids.length);
    return this.#use().glance(found(`w.id = ANY (${strings(ids)})`), ([row]) => webhooksIn(row!));
  }

  async changeWebhook(change: WebhookChange): Promise<WebhookRecord | undefined> {
    checkWebhookChange(change);
    const { id, version, settings, status, restart } = change;
    const anew = restart === undefined ? '' : `, cursor = ${restart === 'here' ? 'cursor' : literal(restart)}, failures = 0, failing_since = NULL, next_at = 0, fence = fence + 1`;
    return this.#use().change(`${LOCK}
      WITH changed AS (UPDATE tidings.webhooks w SET version = version + 1, settings = ${literal(settings)}, status = '${status}', reason = ${status === 'disabled' ? 'reason' : 'NULL'}${anew} WHERE w.id = ${literal(id)} AND w.version = ${version} RETURNING ${WEBHOOK} AS webhook)
      SELECT (SELECT json_agg(webhook) FROM changed), ${STANDBY}`, ([row]) => webhooksIn(row!)[0]);
  }

  async deleteWebhook(id: string): Promise<boolean> {
    return this.#use().change(`${LOCK} DELETE FROM tidings.webhook_attempts WHERE webhook = ${literal(id)};
      WITH gone AS (DELETE FROM tidings.webhooks WHERE id = ${literal(id)} RETURNING id) SELECT (SELECT count(*) FROM gone), ${STANDBY}`, ([row]) => wholeNumber(row![0]) > 0);
  }

  async leaseWebhooks({ owner, leaseMs }: WebhookOwner): Promise<LeasedWebhooks> {
    const me = literal(owner);
    const isActive = "w.status = 'active'";
    return this.#use().change(`${LOCK}
      INSERT INTO tidings.webhook_owners (owner, until) VALUES (${me}, ${NOW} + ${leaseMs}) ON CONFLICT (owner) DO UPDATE SET until = excluded.until;
      UPDATE tidings.webhook_owners SET until = ${NOW} + ${leaseMs} WHERE until > ${NOW} + ${leaseMs};
      DELETE FROM tidings.webhook_owners WHERE until <= ${NOW};
      WITH counted AS (SELECT count(*) AS active, count(*) FILTER (WHERE w.owner = ${me}) AS held, (SELECT count(*) FROM tidings.webhook_owners) AS owners FROM tidings.webhooks w WHERE ${isActive})
      UPDATE tidings.webhooks SET owner = ${me}, fence = fence + 1 WHERE id IN (
        SELECT w.id FROM tidings.webhooks w WHERE ${isActive} AND NOT EXISTS (SELECT FROM tidings.webhook_owners o WHERE o.owner = w.owner) ORDER BY w.id
        LIMIT (SELECT greatest(0, ceil(c.active::numeric / greatest(1, c.owners)) - c.held)::bigint FROM counted c));
      SELECT (SELECT json_agg(json_build_array(w.id, w.version, w.fence) ORDER BY w.id) FROM tidings.webhooks w WHERE w.owner = ${me} AND ${isActive}),
        (SELECT count(*) FROM tidings.webhooks w WHERE ${isActive}), (SELECT count(*) FROM tidings.webhook_owners), ${STANDBY}`, ([row]) => ({
      held: listIn(row![0]).map((one) => {
        const [id, version, fence] = partsOf(one);
        return { id: textIn(id), version: numberIn(version), fence: numberIn(fence) };
      }),
      share: shareOf(wholeNumber(row![1]), wholeNumber(row![2])),
    }));
  }

  async letGoOfWebhooks(owner: string, ids: readonly string[] | undefined): Promise<void> {
    const me = literal(owner);
    await this.#use().change(`${LOCK} UPDATE tidings.webhooks SET owner = '' WHERE owner = ${me}${ids === undefined ? `; DELETE FROM tidings.webhook_owners WHERE owner = ${me}` : ` AND id = ANY (${strings(ids)})`}; SELECT ${STANDBY}`, () => undefined);
  }

  async noteDeliveries(notes: readonly DeliveryNote[]): Promise<readonly string[]> {
    checkNotes(notes);
    if (notes.length === 0) return [];
    return this.#use().change(noteCall(notes), ([row]) => listIn(row![0]).map(textIn));
  }

  async listAttempts(id: string, limit: number): Promise<readonly KeptAttempt[]> {
    checkAttempts(limit);
    return this.#use().glance(`SELECT (SELECT json_agg(json_build_array(a.number, a.attempt) ORDER BY a.number DESC) FROM (
      SELECT number, attempt FROM tidings.webhook_attempts WHERE webhook = ${literal(id)} ORDER BY number DESC LIMIT ${limit}) a), ${STANDBY}`, ([row]) => listIn(row![0]).map((one) => {
      const [number, attempt] = partsOf(one);
      return { number: numberIn(number), attempt: textIn(attempt) };
    }));
  }

  async newestAttempts(ids: readonly string[]): Promise<readonly NewestAttempt[]> {
    checkWebhooks(ids.length);
    return this.#use().glance(`SELECT (SELECT json_agg(json_build_array(w.id, a.number, a.attempt)) FROM tidings.webhooks w,
      LATERAL (SELECT number, attempt FROM tidings.webhook_attempts WHERE webhook = w.id ORDER BY number DESC LIMIT 1) a WHERE w.id = ANY (${strings(ids)})), ${STANDBY}`, ([row]) => listIn(row![0]).map((one) => {
      const [webhook, number, attempt] = partsOf(one);
      return { webhook: textIn(webhook), number: numberIn(number), attempt: textIn(attempt) };
    }));
  }
}

/** First deletes the attempts that become surplus with the new ones. Then moves the cursors, and inserts the attempts with the next numbers of their webhooks. */
function noteCall(notes: readonly DeliveryNote[]): string {
  const rows = notes.map(({ id, fence, cursor, failures, failingSince, nextAt, disabled, attempts }) => `(${[literal(id), `${fence}::bigint`, literal(cursor), `${failures}::bigint`, `${failingSince ?? 'NULL'}::bigint`, `${nextAt}::bigint`, `${literalOrNull(disabled)}::text`, attempts.length].join(', ')})`);
  const all = notes.flatMap(({ id, attempts }) => attempts.map((attempt, index) => ({ id, index: index + 1 - attempts.length, attempt })));
  const ids = literal(`{${notes.map(({ id }) => `"${id}"`).join()}}`);
  return `${LOCK}
    DELETE FROM tidings.webhook_attempts a USING tidings.webhooks w, (VALUES ${rows.join(', ')}) n (id, fence, cursor, failures, failing_since, next_at, disabled, attempts)
      WHERE w.id = ANY (${ids}::text[]) AND n.id = w.id AND a.webhook = w.id AND a.number <= w.attempted + n.attempts - ${KEPT_MAX_ATTEMPTS} AND w.fence = n.fence;
    WITH noted AS (
        UPDATE tidings.webhooks w SET cursor = n.cursor, failures = n.failures, failing_since = n.failing_since, next_at = n.next_at, attempted = w.attempted + n.attempts,
          version = w.version + CASE WHEN n.disabled IS NULL THEN 0 ELSE 1 END, status = CASE WHEN n.disabled IS NULL THEN w.status ELSE 'disabled' END, reason = coalesce(n.disabled, w.reason)
        FROM (VALUES ${rows.join(', ')}) n (id, fence, cursor, failures, failing_since, next_at, disabled, attempts) WHERE w.id = n.id AND w.fence = n.fence RETURNING w.id, w.attempted),
      kept AS (
        INSERT INTO tidings.webhook_attempts (webhook, number, attempt)
        SELECT noted.id, noted.attempted + a.index, a.attempt FROM noted JOIN unnest(${strings(all.map(({ id }) => id))}, ${numbers(all.map(({ index }) => index), 'bigint')}, ${strings(all.map(({ attempt }) => attempt))}) a (id, index, attempt) ON a.id = noted.id)
    SELECT (SELECT json_agg(id) FROM noted), ${STANDBY}`;
}

/** Reads the webhooks `w` that meet a condition. */
function found(condition: string): string {
  return `SELECT (SELECT json_agg(${WEBHOOK} ORDER BY w.id) FROM tidings.webhooks w WHERE ${condition}), ${STANDBY}`;
}

function webhooksIn([webhooks]: Row): WebhookRecord[] {
  return listIn(webhooks).map((one) => {
    const [id, version, settings, status, reason, created, cursor, failures, failingSince, nextAt, owner, fence] = partsOf(one);
    return webhookRecord({
      id: textIn(id), version: numberIn(version), settings: textIn(settings), status: textIn(status), reason: textOrNull(reason), created: numberIn(created), cursor: textIn(cursor),
      failures: numberIn(failures), failingSince: numberOrNull(failingSince), nextAt: numberIn(nextAt), owner: textIn(owner), fence: numberIn(fence),
    });
  });
}
