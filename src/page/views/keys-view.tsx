import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { jsonBody, query, type Api, type Index } from '../api.ts';
import { topicsIn } from '../feed/beginning.ts';
import { isKeptOut, useLoad } from '../load.ts';
import { Chip, Confirm, Empty, ErrorNote, Field, Raw, Shown, Table } from '../parts.tsx';
import { age, visible } from '../text.ts';
import { FirstKey } from './first-key.tsx';
import { KeyAccess } from './key-access.tsx';
import { openStreams, RotateKey, ShownSecret, type Key, type NewSecret } from './key-secret.tsx';

const PAGE_LENGTH_KEYS = 100;
const DAY_SECONDS = 86_400;

interface KeysPage {
  readonly keys: readonly Key[];
  readonly more: boolean;
}

/** API keys: made, seen, given a new secret, revoked. */
export function KeysView({ api, index }: { readonly api: Api; readonly index: Index }): JSX.Element {
  return index.you.administer ? <Administration api={api} /> : <FirstKey what="Keys" />;
}

/** The change of a key that waits for its confirmation, and the number of open streams of the key. */
interface Doing {
  readonly what: 'revoke' | 'rotate';
  readonly key: Key;
  readonly streams: string;
}

function Administration({ api }: { readonly api: Api }): JSX.Element {
  const [after, setAfter] = useState<string>();
  const [made, setMade] = useState<NewSecret>();
  const [told, setTold] = useState<string>();
  const [doing, setDoing] = useState<Doing>();
  const [error, setError] = useState<unknown>();
  const page = useLoad((signal) => api.json<KeysPage>(`keys${query({ after, limit: PAGE_LENGTH_KEYS })}`, { signal }), after ?? '');

  const ask = async (what: Doing['what'], key: Key): Promise<void> => {
    setError(undefined);
    setTold(undefined);
    try {
      setDoing({ what, key, streams: await openStreams(api, key) });
    } catch (failure) {
      setError(failure);
    }
  };
  const shown = (secret: NewSecret): void => {
    setMade(secret);
    page.reload();
  };
  const done = (text: string): void => {
    setTold(text);
    page.reload();
  };

  return (
    <>
      {!isKeptOut(page) && <section class="panel" aria-labelledby="new-key-title">
        <header class="panel-head"><h1 id="new-key-title">New key</h1></header>
        {made !== undefined && <ShownSecret of={made} />}
        <NewKey api={api} onMade={shown} />
      </section>}
      <section class="panel" aria-labelledby="keys-title">
        <header class="panel-head"><h1 id="keys-title">Keys</h1></header>
        {told !== undefined && <p class="note good" role="status">{told}</p>}
        {error !== undefined && <ErrorNote error={error} />}
        <Shown of={page}>
          {({ keys, more }) => (
            <>
              {keys.length === 0 && <Empty title="No keys are stored">{<p>The one that you use is declared in a file.</p>}</Empty>}
              {keys.length > 0 && <Table caption="Keys" rows={keys} keyOf={({ id }) => id} columns={[
                { title: 'Name', cell: ({ name, id }) => <><Raw className="long" text={name} /><span class="sub"><code>{id}</code></span></> },
                { title: 'May', cell: (key) => <Grants of={key} /> },
                { title: 'Made', cell: ({ created }) => <time dateTime={created} title={created}>{age(created)} ago</time> },
                { title: 'Last used', cell: ({ lastUsed }) => lastUsed === undefined ? 'never' : <time dateTime={lastUsed} title={lastUsed}>{age(lastUsed)} ago</time> },
                { title: 'State', cell: (key) => <State of={key} /> },
                { title: '', cell: (key) => key.revoked === undefined && (
                  <span class="row-actions">
                    {!isExpired(key) && <button type="button" class="small" aria-label={`Rotate ${visible(key.name)}`} onClick={() => void ask('rotate', key)}>Rotate</button>}
                    <button type="button" class="small" aria-label={`Revoke ${visible(key.name)}`} onClick={() => void ask('revoke', key)}>Revoke</button>
                  </span>
                ) },
              ]} />}
              <div class="actions">
                {after !== undefined && <button type="button" onClick={() => setAfter(undefined)}>To the first page</button>}
                {more && <button type="button" onClick={() => setAfter(keys.at(-1)!.id)}>Next page</button>}
              </div>
            </>
          )}
        </Shown>
      </section>
      <KeyAccess api={api} keys={page.value?.keys ?? []} />
      {doing?.what === 'revoke' && (
        <Confirm title="Revoke this key?" action="Revoke it" onClose={() => setDoing(undefined)} onConfirm={async () => {
          await api.send(`keys/${encodeURIComponent(doing.key.id)}`, { method: 'DELETE' });
          done(`${visible(doing.key.name)} is revoked. It had ${doing.streams}, which the service cuts.`);
        }}>
          <p><Raw text={doing.key.name} /> is good for nothing any more, and that cannot be taken back. It cuts {doing.streams}.</p>
        </Confirm>
      )}
      {doing?.what === 'rotate' && <RotateKey api={api} apiKey={doing.key} streams={doing.streams} onClose={() => setDoing(undefined)} onRotated={shown} />}
    </>
  );
}

function Grants({ of: { publish, subscribe, erase = [], presence = [], admin, operate } }: { readonly of: Key }): JSX.Element {
  const lists = ([['publish to', publish], ['read', subscribe], ['erase', erase], ['see who listens on', presence]] as const).filter(([, topics]) => topics.length > 0);
  const words = [...(admin ? ['administer'] : []), ...(operate ? ['operate'] : [])];
  return (
    <span class="long">
      {lists.map(([name, topics]) => <div key={name}>{name} <Raw text={topics.join(', ')} /></div>)}
      {words.length > 0 && <div>{words.join(', ')}</div>}
      {lists.length + words.length === 0 && 'nothing'}
    </span>
  );
}

function isExpired({ expires }: Key): boolean {
  return expires !== undefined && Date.parse(expires) < Date.now();
}

function State({ of }: { readonly of: Key }): JSX.Element {
  const { revoked, expires } = of;
  if (revoked !== undefined) return <Chip tone="bad">revoked</Chip>;
  if (expires === undefined) return <Chip tone="good">good</Chip>;
  return isExpired(of) ? <Chip tone="bad">expired</Chip> : <span title={expires}><Chip tone="good">good until {expires.slice(0, 10)}</Chip></span>;
}

const LIFETIMES: readonly (readonly [days: number, label: string])[] = [[0, 'for ever'], [1, 'a day'], [30, '30 days'], [90, '90 days'], [365, 'a year']];
const LISTS = [
  ['publish', 'May publish to', 'The grant publish. Separate topics by spaces; orders.> is all below orders, > is all.'],
  ['subscribe', 'May read', 'The grant subscribe: streams and history, and the views Feed and Doctor.'],
  ['presence', 'May see who listens on', 'The grant presence, and the view Topics.'],
  ['erase', 'May erase', 'The grant erase: it deletes messages for good.'],
] as const;

function NewKey({ api, onMade }: { readonly api: Api; readonly onMade: (secret: NewSecret) => void }): JSX.Element {
  const [name, setName] = useState('');
  const [lists, setLists] = useState<Readonly<Record<string, string>>>({});
  const [days, setDays] = useState(0);
  const [admin, setAdmin] = useState(false);
  const [operate, setOperate] = useState(false);
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);

  const make = async (): Promise<void> => {
    setError(undefined);
    // A second click would make another key, and its answer would replace the first one, which is shown once.
    setBusy(true);
    try {
      const topics = Object.fromEntries(LISTS.map(([list]): [string, readonly string[]] => [list, topicsIn(lists[list] ?? '')]).filter(([, all]) => all.length > 0));
      const body = { name, ...topics, ...(admin ? { admin } : {}), ...(operate ? { operate } : {}), ...(days > 0 ? { expiresInSeconds: days * DAY_SECONDS } : {}) };
      onMade(await api.json('keys', { method: 'POST', ...jsonBody(body) }));
      setName('');
      setLists({});
      setAdmin(false);
      setOperate(false);
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };

  return (
    <form onSubmit={(event) => {
      event.preventDefault();
      void make();
    }}>
      <div class="pair wide">
        <Field label="What it is for">{(attributes) => <input {...attributes} required value={name} autocomplete="off" onInput={(event) => setName(event.currentTarget.value)} />}</Field>
        <Field label="Good">{(attributes) => <select {...attributes} value={days} onChange={(event) => setDays(Number(event.currentTarget.value))}>{LIFETIMES.map(([value, label]) => <option key={value} value={value}>{label}</option>)}</select>}</Field>
        {LISTS.map(([list, label, hint]) => (
          <Field key={list} label={label} hint={hint}>{(attributes) => <input {...attributes} value={lists[list] ?? ''} placeholder="topics and patterns, or nothing" spellcheck={false} autocapitalize="off" autocomplete="off" onInput={(event) => setLists({ ...lists, [list]: event.currentTarget.value })} />}</Field>
        ))}
      </div>
      <div class="toolbar">
        <label class="check"><input type="checkbox" checked={operate} onChange={(event) => setOperate(event.currentTarget.checked)} /> May see metrics and instances (the grant operate)</label>
        <label class="check"><input type="checkbox" checked={admin} onChange={(event) => setAdmin(event.currentTarget.checked)} /> Administrator: keys, webhooks, connectors, streams and instances; may erase, and see who listens, everywhere (the grant admin)</label>
        <span class="spread" />
        <button type="submit" class="main" disabled={isBusy}>Make the key</button>
      </div>
      {error !== undefined && <ErrorNote error={error} />}
    </form>
  );
}
