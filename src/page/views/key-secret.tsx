import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { jsonBody, query, type Api } from '../api.ts';
import { Confirm, Field, Raw, Secret } from '../parts.tsx';
import { plural } from '../text.ts';

/** The secret of a key: shown once, and exchanged for a new one. */

/** The most that the service lists at once. */
const COUNTED_PAGE_STREAMS = 500;
/** Stops the count of a key's streams from asking without end. */
const COUNTED_MAX_PAGES = 10;
export const HOUR_SECONDS = 3600;
export const OVERLAPS: readonly (readonly [seconds: number, label: string])[] = [[0, 'not at all: it ends now'], [HOUR_SECONDS, 'for an hour'], [24 * HOUR_SECONDS, 'for a day'], [7 * 24 * HOUR_SECONDS, 'for a week']];

export interface Key {
  readonly id: string;
  readonly name: string;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  readonly erase?: readonly string[];
  readonly presence?: readonly string[];
  readonly admin: boolean;
  readonly operate: boolean;
  readonly created: string;
  readonly expires?: string;
  readonly revoked?: string;
  readonly lastUsed?: string;
}

/** A key with its secret, which no later answer has. */
export type NewSecret = Key & { readonly key: string };

/** How many streams a key has open, in words. @throws ApiError */
export async function openStreams(api: Api, { id }: Key): Promise<string> {
  let streams = 0;
  let after: string | undefined;
  let isWhole = true;
  for (let pages = 0; pages < COUNTED_MAX_PAGES; pages++) {
    const page = await api.json<{ readonly streams: readonly unknown[]; readonly cursor?: string; readonly more: boolean; readonly partial?: true }>(`streams${query({ credential: `key ${id}`, limit: COUNTED_PAGE_STREAMS, after })}`);
    streams += page.streams.length;
    after = page.cursor;
    isWhole = !page.more && page.partial !== true;
    if (!page.more) break;
  }
  return `${plural(streams, 'open stream')}${isWhole ? '' : ', or more'}`;
}

export function ShownSecret({ of: { name, key } }: { readonly of: NewSecret }): JSX.Element {
  return <Secret secret={key} name="key">This is the key of <Raw text={name} />. It is shown this once.</Secret>;
}

/** Asks for how long the secret before stays good, and gives the key a new one. */
export function RotateKey({ api, apiKey: { id, name }, streams, onClose, onRotated }: { readonly api: Api; readonly apiKey: Key; readonly streams: string; readonly onClose: () => void; readonly onRotated: (secret: NewSecret) => void }): JSX.Element {
  const [overlap, setOverlap] = useState(HOUR_SECONDS);
  return (
    <Confirm title="Give this key a new secret?" action="Rotate it" onClose={onClose} onConfirm={async () => {
      onRotated(await api.json<NewSecret>(`keys/${encodeURIComponent(id)}/rotate`, { method: 'POST', ...jsonBody({ overlapSeconds: overlap }) }));
    }}>
      <p><Raw text={name} /> keeps its id and what it may do. It has {streams}: a stream that was opened with the secret before ends with that secret.</p>
      <Field label="The secret before stays good">
        {(attributes) => <select {...attributes} value={overlap} onChange={(event) => setOverlap(Number(event.currentTarget.value))}>{OVERLAPS.map(([seconds, label]) => <option key={seconds} value={seconds}>{label}</option>)}</select>}
      </Field>
    </Confirm>
  );
}
