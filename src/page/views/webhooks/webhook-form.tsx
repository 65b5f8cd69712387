import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { ApiError } from '../../api.ts';
import { topicsIn, wordsIn } from '../../feed/beginning.ts';
import { ErrorNote, Field } from '../../parts.tsx';
import type { WebhookDraft } from './webhook.ts';

const TEXT = { spellcheck: false, autocapitalize: 'off', autocomplete: 'off' } as const;
const BEGINNINGS: readonly (readonly [from: string, label: string])[] = [['now', 'now: the next message'], ['1h', 'an hour ago'], ['24h', 'a day ago'], ['start', 'the oldest held']];

/** The form for the settings of a webhook, new or existing. @param send Rejects with an `ApiError`, which the form shows at its field. */
export function WebhookForm({ first, isNew, action, onCancel, send }: { readonly first: WebhookDraft; readonly isNew: boolean; readonly action: string; readonly onCancel?: () => void; readonly send: (body: object) => Promise<void> }): JSX.Element {
  const [draft, setDraft] = useState(first);
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const set = (change: Partial<WebhookDraft>): void => setDraft((before) => ({ ...before, ...change }));
  const wrong = error instanceof ApiError ? error.field?.replace(/\[.*/, '') : undefined;
  const isWrong = (name: string): { readonly 'aria-invalid'?: 'true' } => wrong === name ? { 'aria-invalid': 'true' } : {};

  const submit = async (): Promise<void> => {
    setError(undefined);
    setBusy(true);
    const { url, topics, events, format, deadTopic, from } = draft;
    const [names, topic] = [wordsIn(events), deadTopic.trim()];
    const body = { url: url.trim(), topics: topicsIn(topics), format };
    try {
      // In a change, `null` removes the value.
      await send(isNew ? { ...body, from, ...(names.length === 0 ? {} : { events: names }), ...(topic === '' ? {} : { deadTopic: topic }) } : { ...body, events: names.length === 0 ? null : names, deadTopic: topic === '' ? null : topic });
      if (isNew) setDraft(first);
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };

  return (
    <form onSubmit={(event) => {
      event.preventDefault();
      void submit();
    }}>
      <div class="pair wide">
        <Field label="Receiver" hint="Where deliveries go. The service connects to the public internet alone, and to what WEBHOOK_ALLOW names.">{(attributes) => <input {...attributes} {...TEXT} {...isWrong('url')} type="url" required placeholder="https://example.com/hook" value={draft.url} onInput={(event) => set({ url: event.currentTarget.value })} />}</Field>
        <Field label="Topics or patterns" hint="Separated by spaces: orders.* orders.new">{(attributes) => <input {...attributes} {...TEXT} {...isWrong('topics')} required placeholder="orders.*" value={draft.topics} onInput={(event) => set({ topics: event.currentTarget.value })} />}</Field>
        <Field label="Events (optional)" hint="Only these event names, separated by spaces.">{(attributes) => <input {...attributes} {...TEXT} {...isWrong('events')} placeholder="every event" value={draft.events} onInput={(event) => set({ events: event.currentTarget.value })} />}</Field>
        <Field label="Dead letters (optional)" hint="A topic for what cannot be delivered.">{(attributes) => <input {...attributes} {...TEXT} {...isWrong('deadTopic')} placeholder="a topic of its own" value={draft.deadTopic} onInput={(event) => set({ deadTopic: event.currentTarget.value })} />}</Field>
        <Field label="Format">{(attributes) => <select {...attributes} value={draft.format} onChange={(event) => set({ format: event.currentTarget.value })}><option value="json">JSON: the message</option><option value="cloudevents">CloudEvents 1.0</option></select>}</Field>
        {isNew && <Field label="Begin with">{(attributes) => <select {...attributes} value={draft.from} onChange={(event) => set({ from: event.currentTarget.value })}>{BEGINNINGS.map(([from, label]) => <option key={from} value={from}>{label}</option>)}</select>}</Field>}
      </div>
      {error !== undefined && <ErrorNote error={error} />}
      <div class="actions">
        <button type="submit" class="main" disabled={isBusy}>{action}</button>
        {onCancel !== undefined && <button type="button" onClick={onCancel}>Cancel</button>}
      </div>
    </form>
  );
}
