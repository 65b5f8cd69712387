import type Database from 'better-sqlite3';
import { checkAttempts, checkNewWebhook, checkNotes, checkWebhookChange, checkWebhooks, shareOf, webhookRecord, type WebhookRow } from '../../rows/webhook-rows.ts';
import { KEPT_MAX_ATTEMPTS, MAX_WEBHOOKS, type DeliveryNote, type KeptAttempt, type LeasedWebhooks, type NewestAttempt, type NewWebhook, type WebhookChange, type WebhookOwner, type WebhookRecord, type WebhookStore } from '../../contracts/webhook-store.ts';
import type { CallEffects, CallTable, PerformCall } from './side-call.ts';

/** The calls of `WebhookStore`. */
export interface WebhookCalls {
  hasActiveWebhooks: { argument: undefined; answer: boolean };
  createWebhook: { argument: NewWebhook; answer: WebhookRecord | undefined };
  listWebhooks: { argument: { readonly after: string; readonly limit: number }; answer: readonly WebhookRecord[] };
  findWebhooks: { argument: { readonly ids: readonly string[] }; answer: readonly WebhookRecord[] };
  changeWebhook: { argument: WebhookChange; answer: WebhookRecord | undefined };
  deleteWebhook: { argument: { readonly id: string }; answer: boolean };
  leaseWebhooks: { argument: WebhookOwner; answer: LeasedWebhooks };
  letGoOfWebhooks: { argument: { readonly owner: string; readonly ids: readonly string[] | undefined }; answer: void };
  noteDeliveries: { argument: { readonly notes: readonly DeliveryNote[] }; answer: readonly string[] };
  listAttempts: { argument: { readonly id: string; readonly limit: number }; answer: readonly KeptAttempt[] };
  newestAttempts: { argument: { readonly ids: readonly string[] }; answer: readonly NewestAttempt[] };
}

export const WEBHOOK_EFFECTS: CallEffects<WebhookCalls> = {
  hasActiveWebhooks: 'read',
  listWebhooks: 'read',
  findWebhooks: 'read',
  listAttempts: 'read',
  newestAttempts: 'read',
  createWebhook: 'commit',
  changeWebhook: 'commit',
  deleteWebhook: 'commit',
  leaseWebhooks: 'write',
  letGoOfWebhooks: 'write',
  noteDeliveries: 'write',
};

const COLUMNS = 'id, version, settings, status, reason, created, cursor, failures, failing_since AS failingSince, next_at AS nextAt, owner, fence';

/** Reads and changes webhooks, inside the caller's transaction. */
export class Webhooks implements CallTable<WebhookCalls> {
  readonly #isAnyActive: Database.Statement<[], number>;
  readonly #count: Database.Statement<[], number>;
  readonly #countActive: Database.Statement<[], number>;
  readonly #create: Database.Statement<unknown[]>;
  readonly #list: Database.Statement<[string, number], WebhookRow>;
  readonly #find: Database.Statement<[string], WebhookRow>;
  readonly #change: Database.Statement<unknown[]>;
  readonly #restart: Database.Statement<[string, string]>;
  readonly #delete: Database.Statement<[string]>;
  readonly #deleteAttempts: Database.Statement<[string]>;
  readonly #keepLease: Database.Statement<[string, number]>;
  readonly #boundLeases: Database.Statement<[number, number]>;
  readonly #endLeases: Database.Statement<[number]>;
  readonly #endLease: Database.Statement<[string]>;
  readonly #countOwners: Database.Statement<[], number>;
  readonly #held: Database.Statement<[string], { readonly id: string; readonly version: number; readonly fence: number }>;
  readonly #take: Database.Statement<[string, number]>;
  readonly #letGo: Database.Statement<[string, string]>;
  readonly #letGoOfAll: Database.Statement<[string]>;
  readonly #note: Database.Statement<unknown[], number>;
  readonly #disable: Database.Statement<[string, string]>;
  readonly #addAttempt: Database.Statement<[string, number, string]>;
  readonly #forgetAttempts: Database.Statement<[string, number]>;
  readonly #attempts: Database.Statement<[string, number], KeptAttempt>;

  constructor({ db }: { readonly db: Database.Database }) {
    this.#isAnyActive = db.prepare<[], number>("SELECT EXISTS (SELECT 1 FROM webhooks WHERE status = 'active')").pluck();
    this.#count = db.prepare<[], number>('SELECT count(*) FROM webhooks').pluck();
    this.#countActive = db.prepare<[], number>("SELECT count(*) FROM webhooks WHERE status = 'active'").pluck();
    this.#create = db.prepare("INSERT INTO webhooks (id, version, settings, status, created, cursor, failures, next_at, owner, fence, attempted) VALUES (?, 1, ?, 'active', ?, ?, 0, 0, '', 0, 0)");
    this.#list = db.prepare(`SELECT ${COLUMNS} FROM webhooks WHERE id > ? ORDER BY id LIMIT ?`);
    this.#find = db.prepare(`SELECT ${COLUMNS} FROM webhooks WHERE id = ?`);
    this.#change = db.prepare("UPDATE webhooks SET version = version + 1, settings = ?, status = ?, reason = CASE ? WHEN 'disabled' THEN reason END WHERE id = ? AND version = ?");
    this.#restart = db.prepare("UPDATE webhooks SET cursor = coalesce(nullif(?, 'here'), cursor), failures = 0, failing_since = NULL, next_at = 0, fence = fence + 1 WHERE id = ?");
    this.#delete = db.prepare('DELETE FROM webhooks WHERE id = ?');
    this.#deleteAttempts = db.prepare('DELETE FROM webhook_attempts WHERE webhook = ?');
    this.#keepLease = db.prepare('INSERT OR REPLACE INTO webhook_owners (owner, until) VALUES (?, ?)');
    this.#boundLeases = db.prepare('UPDATE webhook_owners SET until = ? WHERE until > ?');
    this.#endLeases = db.prepare('DELETE FROM webhook_owners WHERE until <= ?');
    this.#endLease = db.prepare('DELETE FROM webhook_owners WHERE owner = ?');
    this.#countOwners = db.prepare<[], number>('SELECT count(*) FROM webhook_owners').pluck();
    this.#held = db.prepare("SELECT id, version, fence FROM webhooks WHERE owner = ? AND status = 'active' ORDER BY id");
    this.#take = db.prepare("UPDATE webhooks SET owner = ?, fence = fence + 1 WHERE id IN (SELECT id FROM webhooks WHERE status = 'active' AND owner NOT IN (SELECT owner FROM webhook_owners) ORDER BY id LIMIT ?)");
    this.#letGo = db.prepare("UPDATE webhooks SET owner = '' WHERE owner = ? AND id = ?");
    this.#letGoOfAll = db.prepare("UPDATE webhooks SET owner = '' WHERE owner = ?");
    this.#note = db.prepare<unknown[], number>('UPDATE webhooks SET cursor = ?, failures = ?, failing_since = ?, next_at = ?, attempted = attempted + ? WHERE id = ? AND fence = ? RETURNING attempted').pluck();
    this.#disable = db.prepare("UPDATE webhooks SET version = version + 1, status = 'disabled', reason = ? WHERE id = ?");
    this.#addAttempt = db.prepare('INSERT INTO webhook_attempts (webhook, number, attempt) VALUES (?, ?, ?)');
    this.#forgetAttempts = db.prepare('DELETE FROM webhook_attempts WHERE webhook = ? AND number <= ?');
    this.#attempts = db.prepare('SELECT number, attempt FROM webhook_attempts WHERE webhook = ? ORDER BY number DESC LIMIT ?');
  }

  hasActiveWebhooks(): boolean {
    return this.#isAnyActive.get() === 1;
  }

  createWebhook(webhook: NewWebhook): WebhookRecord | undefined {
    checkNewWebhook(webhook);
    const { id, settings, cursor } = webhook;
    if (this.#find.get(id) === undefined) {
      if (this.#count.get()! >= MAX_WEBHOOKS) return undefined;
      this.#create.run(id, settings, Date.now(), cursor);
    }
    return this.#record(id);
  }

  listWebhooks({ after, limit }: { readonly after: string; readonly limit: number }): readonly WebhookRecord[] {
    checkWebhooks(limit);
    return this.#list.all(after, limit).map(webhookRecord);
  }

  findWebhooks({ ids }: { readonly ids: readonly string[] }): readonly WebhookRecord[] {
    checkWebhooks(ids.length);
    return [...new Set(ids)].flatMap((id) => this.#record(id) ?? []);
  }

  changeWebhook(change: WebhookChange): WebhookRecord | undefined {
    checkWebhookChange(change);
    const { id, version, settings, status, restart } = change;
    if (this.#change.run(settings, status, status, id, version).changes === 0) return undefined;
    if (restart !== undefined) this.#restart.run(restart, id);
    return this.#record(id);
  }

  deleteWebhook({ id }: { readonly id: string }): boolean {
    this.#deleteAttempts.run(id);
    return this.#delete.run(id).changes > 0;
  }

  leaseWebhooks({ owner, leaseMs }: WebhookOwner): LeasedWebhooks {
    const now = Date.now();
    this.#keepLease.run(owner, now + leaseMs);
    this.#boundLeases.run(now + leaseMs, now + leaseMs);
    this.#endLeases.run(now);
    const share = shareOf(this.#countActive.get()!, this.#countOwners.get()!);
    this.#take.run(owner, Math.max(0, share - this.#held.all(owner).length));
    return { held: this.#held.all(owner), share };
  }

  letGoOfWebhooks({ owner, ids }: { readonly owner: string; readonly ids: readonly string[] | undefined }): void {
    for (const id of ids ?? []) this.#letGo.run(owner, id);
    if (ids !== undefined) return;
    this.#letGoOfAll.run(owner);
    this.#endLease.run(owner);
  }

  noteDeliveries({ notes }: { readonly notes: readonly DeliveryNote[] }): readonly string[] {
    checkNotes(notes);
    return notes.flatMap(({ id, fence, cursor, failures, failingSince, nextAt, disabled, attempts }) => {
      const attempted = this.#note.get(cursor, failures, failingSince ?? null, nextAt, attempts.length, id, fence);
      if (attempted === undefined) return [];
      if (disabled !== undefined) this.#disable.run(disabled, id);
      attempts.forEach((attempt, index) => this.#addAttempt.run(id, attempted - attempts.length + index + 1, attempt));
      if (attempts.length > 0) this.#forgetAttempts.run(id, attempted - KEPT_MAX_ATTEMPTS);
      return [id];
    });
  }

  listAttempts({ id, limit }: { readonly id: string; readonly limit: number }): readonly KeptAttempt[] {
    checkAttempts(limit);
    return this.#attempts.all(id, limit);
  }

  newestAttempts({ ids }: { readonly ids: readonly string[] }): readonly NewestAttempt[] {
    checkWebhooks(ids.length);
    return [...new Set(ids)].flatMap((webhook) => this.#attempts.all(webhook, 1).map((newest) => ({ webhook, ...newest })));
  }

  #record(id: string): WebhookRecord | undefined {
    const row = this.#find.get(id);
    return row && webhookRecord(row);
  }
}

/** The main thread's end: turns each method into a call of `Webhooks`. */
export class SqliteWebhookStore implements WebhookStore {
  readonly #call: PerformCall<WebhookCalls>;

  constructor(call: PerformCall<WebhookCalls>) {
    this.#call = call;
  }

  hasActiveWebhooks(): Promise<boolean> {
    return this.#call('hasActiveWebhooks', undefined);
  }

  createWebhook(webhook: NewWebhook): Promise<WebhookRecord | undefined> {
    return this.#call('createWebhook', webhook);
  }

  listWebhooks(page: { readonly after: string; readonly limit: number }): Promise<readonly WebhookRecord[]> {
    return this.#call('listWebhooks', page);
  }

  findWebhooks(ids: readonly string[]): Promise<readonly WebhookRecord[]> {
    return this.#call('findWebhooks', { ids });
  }

  changeWebhook(change: WebhookChange): Promise<WebhookRecord | undefined> {
    return this.#call('changeWebhook', change);
  }

  deleteWebhook(id: string): Promise<boolean> {
    return this.#call('deleteWebhook', { id });
  }

  leaseWebhooks(owner: WebhookOwner): Promise<LeasedWebhooks> {
    return this.#call('leaseWebhooks', owner);
  }

  letGoOfWebhooks(owner: string, ids: readonly string[] | undefined): Promise<void> {
    return this.#call('letGoOfWebhooks', { owner, ids });
  }

  noteDeliveries(notes: readonly DeliveryNote[]): Promise<readonly string[]> {
    return this.#call('noteDeliveries', { notes });
  }

  listAttempts(id: string, limit: number): Promise<readonly KeptAttempt[]> {
    return this.#call('listAttempts', { id, limit });
  }

  newestAttempts(ids: readonly string[]): Promise<readonly NewestAttempt[]> {
    return this.#call('newestAttempts', { ids });
  }
}
