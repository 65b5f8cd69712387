import { checkWhole, NEVER_MS } from './key-rows.ts';
import { StoreError } from '../store.ts';
import { CALL_MAX_WEBHOOKS, KEPT_MAX_ATTEMPTS, WEBHOOK_TEXT_MAX_BYTES, type DeliveryNote, type DeliveryState, type NewWebhook, type WebhookChange, type WebhookRecord, type WebhookStatus } from '../contracts/webhook-store.ts';

/** A row of `webhooks` without `attempted`. */
export interface WebhookRow {
  readonly id: string;
  readonly version: number;
  readonly settings: string;
  readonly status: string;
  readonly reason: string | null;
  readonly created: number;
  readonly cursor: string;
  readonly failures: number;
  readonly failingSince: number | null;
  readonly nextAt: number;
  readonly owner: string;
  readonly fence: number;
}

export function webhookRecord({ status, reason, failingSince, ...row }: WebhookRow): WebhookRecord {
  return { ...row, status: statusOf(status), reason: reason ?? undefined, failingSince: failingSince ?? undefined };
}

function statusOf(text: string): WebhookStatus {
  if (text !== 'active' && text !== 'paused' && text !== 'disabled') throw new TypeError('the status of a webhook is not what this program stores');
  return text;
}

export function checkNewWebhook({ settings }: NewWebhook): void {
  checkText(settings);
}

export function checkWebhookChange({ version, settings }: WebhookChange): void {
  checkWhole('a version', version, 0, Number.MAX_SAFE_INTEGER);
  checkText(settings);
}

export function checkWebhooks(count: number): void {
  checkWhole('the number of webhooks', count, 0, CALL_MAX_WEBHOOKS);
}

export function checkAttempts(limit: number): void {
  checkWhole('the number of attempts', limit, 0, KEPT_MAX_ATTEMPTS);
}

export function checkNotes(notes: readonly DeliveryNote[]): void {
  checkWebhooks(notes.length);
  for (const { fence, attempts, ...state } of notes) {
    checkWhole('a fence', fence, 0, Number.MAX_SAFE_INTEGER);
    checkAttempts(attempts.length);
    checkDeliveryState(state);
    attempts.forEach(checkText);
  }
}

function checkDeliveryState({ failures, failingSince = 0, nextAt }: DeliveryState): void {
  checkWhole('the number of failures', failures, 0, Number.MAX_SAFE_INTEGER);
  checkWhole('a time', failingSince, 0, NEVER_MS);
  checkWhole('a time', nextAt, 0, NEVER_MS);
}

function checkText(text: string): void {
  if (Buffer.byteLength(text) > WEBHOOK_TEXT_MAX_BYTES) throw new StoreError('refused', `a text of a webhook is longer than ${WEBHOOK_TEXT_MAX_BYTES} bytes`);
}

/** One owner's equal share of all webhooks, or of all connectors. */
export function shareOf(count: number, owners: number): number {
  return Math.ceil(count / Math.max(1, owners));
}
