import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { jsonBody, type Api } from '../../api.ts';
import { Confirm, Field, Raw } from '../../parts.tsx';
import { href } from '../../route.ts';
import { HOUR_SECONDS, OVERLAPS } from '../key-secret.tsx';
import type { NewWebhook, Webhook } from './webhook.ts';

/** The confirmations before changes of a webhook. */
export type Deed = 'replay' | 'rotate' | 'delete';

interface DialogProps {
  readonly api: Api;
  readonly path: string;
  readonly webhook: Webhook;
  readonly onClose: () => void;
}

export function WebhookDialog({ deed, onRotated, onDone, ...dialog }: DialogProps & { readonly deed: Deed; readonly onRotated: (made: NewWebhook) => void; readonly onDone: (text: string) => void }): JSX.Element {
  if (deed === 'replay') return <Replay {...dialog} onDone={onDone} />;
  return deed === 'rotate' ? <Rotate {...dialog} onRotated={onRotated} /> : <Delete {...dialog} />;
}

function Replay({ api, path, onClose, onDone }: DialogProps & { readonly onDone: (text: string) => void }): JSX.Element {
  const [from, setFrom] = useState('10m');
  return (
    <Confirm title="Go on from another position?" action="Replay" onClose={onClose} onConfirm={async () => {
      const { cursor } = await api.json<Webhook>(`${path}/replay`, { method: 'POST', ...jsonBody({ from: from.trim() }) });
      onDone(`It goes on after ${cursor}.`);
    }}>
      <p>It delivers all messages of its topics from there, again those that it has delivered before, with the same ids.</p>
      <Field label="From" hint="A duration back from now (10m, 24h), a time such as 2026-11-30T10:15:00Z, the id of a message or a cursor, start, or now.">
        {(attributes) => <input {...attributes} required spellcheck={false} autocapitalize="off" autocomplete="off" value={from} onInput={(event) => setFrom(event.currentTarget.value)} />}
      </Field>
    </Confirm>
  );
}

function Rotate({ api, path, onClose, onRotated }: DialogProps & { readonly onRotated: (made: NewWebhook) => void }): JSX.Element {
  const [overlap, setOverlap] = useState(HOUR_SECONDS);
  return (
    <Confirm title="Give this webhook a new secret?" action="Rotate it" onClose={onClose} onConfirm={async () => {
      onRotated(await api.json<NewWebhook>(`${path}/rotate`, { method: 'POST', ...jsonBody({ overlapSeconds: overlap }) }));
    }}>
      <p>The new secret is shown once. While the secret before stays good, deliveries carry the signatures of both.</p>
      <Field label="The secret before stays good">
        {(attributes) => <select {...attributes} value={overlap} onChange={(event) => setOverlap(Number(event.currentTarget.value))}>{OVERLAPS.map(([seconds, label]) => <option key={seconds} value={seconds}>{label}</option>)}</select>}
      </Field>
    </Confirm>
  );
}

function Delete({ api, path, webhook: { url }, onClose }: DialogProps): JSX.Element {
  return (
    <Confirm title="Delete this webhook?" action="Delete it" onClose={onClose} onConfirm={async () => {
      await api.send(path, { method: 'DELETE' });
      location.hash = href('webhooks');
    }}>
      <p><Raw text={url} /> gets nothing more. Its secret, its cursor and its attempts are gone, and that cannot be taken back.</p>
    </Confirm>
  );
}
