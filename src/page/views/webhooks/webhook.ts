import { plural } from '../../text.ts';

/** A webhook as the API returns it, and its state in words. */

export interface Attempt {
  readonly number: number;
  readonly delivery: string;
  readonly time: string;
  readonly status?: number;
  readonly error?: string;
  readonly milliseconds: number;
  readonly answer?: string;
}

export interface Webhook {
  readonly id: string;
  readonly url: string;
  readonly topics: readonly string[];
  readonly events?: readonly string[];
  readonly format: string;
  readonly deadTopic: string;
  readonly status: 'active' | 'paused' | 'disabled';
  readonly reason?: string;
  readonly created: string;
  readonly cursor: string;
  readonly behind?: number;
  readonly owner?: string;
  readonly circuit: 'open' | 'closed';
  readonly failures: number;
  readonly failingSince?: string;
  readonly nextAttempt?: string;
  readonly lastError?: Attempt;
  readonly oldSecretUntil?: string;
}

/** A webhook with its secret, which no later answer has. */
export type NewWebhook = Webhook & { readonly secret: string };

/** The fields of the form. */
export interface WebhookDraft {
  readonly url: string;
  readonly topics: string;
  readonly events: string;
  readonly format: string;
  readonly deadTopic: string;
  readonly from: string;
}

export const NEW_DRAFT: WebhookDraft = { url: '', topics: '', events: '', format: 'json', deadTopic: '', from: 'now' };

export function draftOf({ url, topics, events = [], format, deadTopic, id }: Webhook): WebhookDraft {
  return { url, topics: topics.join(' '), events: events.join(' '), format, deadTopic: deadTopic === ownDeadTopic(id) ? '' : deadTopic, from: '' };
}

/** The default topic of dead letters. */
export function ownDeadTopic(id: string): string {
  return `dead.webhooks.${id}`;
}

/** The state in one or two words. */
export function stateOf({ status, circuit, failures }: Webhook): readonly [tone: 'good' | 'warn' | 'bad' | 'quiet', text: string] {
  if (status === 'disabled') return ['bad', 'disabled'];
  if (status === 'paused') return ['quiet', 'paused'];
  if (circuit === 'open') return ['bad', 'failing, asked seldom'];
  return failures > 0 ? ['warn', 'failing'] : ['good', 'delivering'];
}

export function outcomeOf({ status, error }: Pick<Attempt, 'status' | 'error'>): string {
  return status === undefined ? error ?? 'no answer' : `status ${status}`;
}

export function isTaken({ status }: Pick<Attempt, 'status'>): boolean {
  return status !== undefined && status >= 200 && status < 300;
}

export function behindText({ behind }: Webhook): string {
  if (behind === undefined) return 'not known';
  return behind === 0 ? 'no' : plural(behind, 'message');
}

/** Deliveries of tests and gaps are no messages. */
export function isMessage(delivery: string): boolean {
  return /^[a-z0-9]{8,}-[0-9]+$/.test(delivery);
}
