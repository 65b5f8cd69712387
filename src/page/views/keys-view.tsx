import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { query, type Api, type Index } from '../api.ts';
import { topicsIn } from '../feed/beginning.ts';
import { useLoad } from '../load.ts';
import { Chip, Command, Confirm, CopyButton, Empty, ErrorNote, Field, Raw, Shown, Table } from '../parts.tsx';
import { age, plural } from '../text.ts';

const PAGE_LENGTH_KEYS = 100;
/** The most that is asked for when the streams of a key are counted. */
const COUNTED_MAX_STREAMS = 500;
const DAY_SECONDS = 86_400;

interface Key {
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
interface KeysPage {
  readonly keys: readonly Key[];
  readonly more: boolean;
}

/** API keys: made, seen, revoked. */
export function KeysView({ api, index }: { readonly api: Api; readonly index: Index }): JSX.Element {
  return index.you.administer ? <Administration api={api} /> : <FirstKey />;
}

/** Where nobody needs a credential, nobody is an administrator either. */
function FirstKey(): JSX.Element {
  return (
    <section class="panel" aria-labelledby="keys-title">
      <header class="panel-head"><h1 id="keys-title">Keys</h1></header>
      <Empty title="Keys are made by an administrator">
        <p>The first one is made on the machine of the service, in its folder. On a service of this machine alone, from then on everything takes a key.</p>
        <Command text="npx tidings keys create --name admin --publish '>' --subscribe '>' --presence '>' --admin" />
        <p>Then reload this page, and sign in with it.</p>
      </Empty>
    </section>
  );
}

function Administration({ api }: { readonly api: Api }): JSX.Element {
  const [after, setAfter] = useState<string>();
  const [made, setMade] = useState<Key & { readonly key: string }>();
  const [revoking, setRevoking] = useState<Key & { readonly streams: string }>();
  const [error, setError] = useState<unknown>();
  const page = useLoad((signal) => api.json<KeysPage>(`keys${query({ after, limit: PAGE_LENGTH_KEYS })}`, { signal }), after ?? '');

  const ask = async (key: Key): Promise<void> => {
    setError(undefined);
    try {
      const { streams, more } = await api.json<{ readonly streams: readonly unknown[]; readonly more: boolean }>(`streams${query({ credential: `key ${key.id}`, limit: COUNTED_MAX_STREAMS })}`);
      setRevoking({ ...key, streams: `${plural(streams.length, 'open stream')}${more ? ' and more' : ''}` });
    } catch (failure) {
      setError(failure);
    }
  };

  return (
    <>
      <section class="panel" aria-labelledby="new-key-title">
        <header class="panel-head"><h1 id="new-key-title">New key</h1></header>
        {made !== undefined && (
          <div class="note good made" role="status">
            <p>This is the key of <Raw text={made.name} />. It is shown this once.</p>
            <div class="command"><pre tabindex={0} aria-label="The key"><code>{made.key}</code></pre><CopyButton text={made.key} label="Copy key" /></div>
          </div>
        )}
        <NewKey api={api} onMade={(key) => {
          setMade(key);
          page.reload();
        }} />
      </section>
      <section class="panel" aria-labelledby="keys-title">
        <header class="panel-head"><h1 id="keys-title">Keys</h1></header>
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
                { title: '', cell: (key) => key.revoked === undefined && <button type="button" class="small" aria-label={`Revoke ${key.name}`} onClick={() => void ask(key)}>Revoke</button> },
              ]} />}
              <div class="actions">
                {after !== undefined && <button type="button" onClick={() => setAfter(undefined)}>To the first page</button>}
                {more && <button type="button" onClick={() => setAfter(keys.at(-1)!.id)}>Next page</button>}
              </div>
            </>
          )}
        </Shown>
      </section>
      {revoking !== undefined && (
        <Confirm title="Revoke this key?" action="Revoke it" onClose={() => setRevoking(undefined)} onConfirm={async () => {
          await api.send(`keys/${encodeURIComponent(revoking.id)}`, { method: 'DELETE' });
          page.reload();
        }}>
          <p><Raw text={revoking.name} /> is good for nothing any more, and that cannot be taken back. It cuts {revoking.streams}.</p>
        </Confirm>
      )}
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

function State({ of: { revoked, expires } }: { readonly of: Key }): JSX.Element {
  if (revoked !== undefined) return <Chip tone="bad">revoked</Chip>;
  if (expires === undefined) return <Chip tone="good">good</Chip>;
  return Date.parse(expires) < Date.now() ? <Chip tone="bad">expired</Chip> : <span title={expires}><Chip tone="good">good until {expires.slice(0, 10)}</Chip></span>;
}

const LIFETIMES: readonly (readonly [days: number, label: string])[] = [[0, 'for ever'], [1, 'a day'], [30, '30 days'], [90, '90 days'], [365, 'a year']];
const LISTS = [['publish', 'May publish to'], ['subscribe', 'May read'], ['presence', 'May see who listens on'], ['erase', 'May erase']] as const;

function NewKey({ api, onMade }: { readonly api: Api; readonly onMade: (key: Key & { readonly key: string }) => void }): JSX.Element {
  const [name, setName] = useState('');
  const [lists, setLists] = useState<Readonly<Record<string, string>>>({});
  const [days, setDays] = useState(0);
  const [admin, setAdmin] = useState(false);
  const [operate, setOperate] = useState(false);
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);

  const make = async (): Promise<void> => {
    setError(undefined);
    // A second click would make another key, and what it answers would take the place of the first one, which is shown once.
    setBusy(true);
    try {
      const topics = Object.fromEntries(LISTS.map(([list]): [string, readonly string[]] => [list, topicsIn(lists[list] ?? '')]).filter(([, all]) => all.length > 0));
      const body = { name, ...topics, ...(admin ? { admin } : {}), ...(operate ? { operate } : {}), ...(days > 0 ? { expiresInSeconds: days * DAY_SECONDS } : {}) };
      onMade(await api.json('keys', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }));
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
      <div class="pair">
        <Field label="What it is for">{(attributes) => <input {...attributes} required value={name} autocomplete="off" onInput={(event) => setName(event.currentTarget.value)} />}</Field>
        <Field label="Good">{(attributes) => <select {...attributes} value={days} onChange={(event) => setDays(Number(event.currentTarget.value))}>{LIFETIMES.map(([value, label]) => <option key={value} value={value}>{label}</option>)}</select>}</Field>
        {LISTS.map(([list, label]) => (
          <Field key={list} label={label}>{(attributes) => <input {...attributes} value={lists[list] ?? ''} placeholder="topics and patterns, or nothing" spellcheck={false} autocapitalize="off" autocomplete="off" onInput={(event) => setLists({ ...lists, [list]: event.currentTarget.value })} />}</Field>
        ))}
      </div>
      <div class="toolbar">
        <label class="check"><input type="checkbox" checked={operate} onChange={(event) => setOperate(event.currentTarget.checked)} /> May see metrics and instances</label>
        <label class="check"><input type="checkbox" checked={admin} onChange={(event) => setAdmin(event.currentTarget.checked)} /> Administrator</label>
        <span class="spread" />
        <button type="submit" class="main" disabled={isBusy}>Make the key</button>
      </div>
      {error !== undefined && <ErrorNote error={error} />}
    </form>
  );
}
