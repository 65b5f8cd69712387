import type { SigningSecret } from './signature.ts';

/** The format of a request's body. `json`: the message object of a stream of many topics. `cloudevents`: CloudEvents 1.0 in structured mode. */
export type WebhookFormat = 'json' | 'cloudevents';

export const FORMATS: readonly WebhookFormat[] = ['json', 'cloudevents'];

/** The settings of a webhook from an administrator. */
export interface WebhookSettings {
  readonly url: string;
  /** Topics and patterns. */
  readonly topics: readonly string[];
  /** Event names; absent for all. */
  readonly events?: readonly string[] | undefined;
  readonly format: WebhookFormat;
  /** The topic of dead letters; absent for `dead.webhooks.{id}`. */
  readonly deadTopic?: string | undefined;
  /** The newest first. */
  readonly secrets: readonly SigningSecret[];
}

export function settingsText(settings: WebhookSettings): string {
  return JSON.stringify(settings);
}

/** Throws if this program did not write the text, so that no request goes out by wrong settings. */
export function settingsOf(text: string): WebhookSettings {
  const { url, topics, events, format, deadTopic, secrets } = parsed(text);
  const isRight = typeof url === 'string' && isTexts(topics) && (events === undefined || isTexts(events)) && (deadTopic === undefined || typeof deadTopic === 'string') && Array.isArray(secrets) && secrets.every(isSecret);
  const known = FORMATS.find((one) => one === format);
  if (!isRight || known === undefined) throw new TypeError(WRONG);
  return { url, topics, events, format: known, deadTopic, secrets };
}

/** The topic of dead letters. */
export function deadTopicOf(id: string, { deadTopic }: Pick<WebhookSettings, 'deadTopic'>): string {
  return deadTopic ?? `dead.webhooks.${id}`;
}

/** The event name of dead letters. */
export const DEAD_EVENT = 'dead-letter';

/** Whether a webhook wants the dead letters of a topic: it names that topic, or a pattern under `dead.`. Broader patterns do not match: two webhooks would deliver each other's failures for ever. */
export function wantsDeadLetters({ topics }: Pick<WebhookSettings, 'topics'>, topic: string): boolean {
  return topics.some((name) => name === topic || name.startsWith('dead.'));
}

const WRONG = 'the settings of a webhook are not what this program stores';

function parsed(text: string): { readonly [Name in keyof WebhookSettings]: unknown } {
  try {
    return JSON.parse(text) as { readonly [Name in keyof WebhookSettings]: unknown };
  } catch {
    // The parser's own error quotes the text, which holds secrets, and is logged.
    throw new TypeError(WRONG);
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

function isSecret(value: unknown): value is SigningSecret {
  const { secret, until } = (value ?? {}) as { readonly [Name in keyof SigningSecret]: unknown };
  return typeof secret === 'string' && (until === undefined || Number.isSafeInteger(until));
}
