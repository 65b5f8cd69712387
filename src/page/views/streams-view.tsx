import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { BASE, query as search, type Api } from '../api.ts';
import { credential } from '../feed/copy-as.ts';
import { useLoad } from '../load.ts';
import { Chip, Command, Confirm, Empty, Field, Pages, Partial, Raw, Shown, Table } from '../parts.tsx';
import { href } from '../route.ts';
import { age, bytes, count, plural } from '../text.ts';

const STREAMS_EVERY_MS = 5_000;
const PAGE_LENGTH_STREAMS = 100;

interface Stream {
  readonly id: string;
  readonly member?: string;
  readonly credential?: string;
  readonly topics: readonly string[];
  readonly moreTopics?: number;
  readonly instance: string;
  readonly opened: string;
  readonly address?: string;
  readonly client?: string;
  readonly behind: number;
  readonly bytes: number;
}
interface StreamsPage {
  readonly streams: readonly Stream[];
  readonly cursor?: string;
  readonly more: boolean;
  readonly partial?: true;
  readonly missing?: readonly string[];
}

/** The open streams of all instances. */
export function StreamsView({ api, query }: { readonly api: Api; readonly query: URLSearchParams }): JSX.Element {
  const [after, setAfter] = useState<string>();
  const [closing, setClosing] = useState<Stream>();
  const [told, setTold] = useState<string>();
  const filters = { topic: query.get('topic') ?? '', member: query.get('member') ?? '', instance: query.get('instance') ?? '', behind: query.get('behind') ?? '' };
  const path = `streams${search({ ...filters, after, limit: PAGE_LENGTH_STREAMS })}`;
  const page = useLoad((signal) => api.json<StreamsPage>(path, { signal }), path, STREAMS_EVERY_MS);
  const isFiltered = Object.values(filters).some((value) => value !== '');

  return (
    <section class="panel" aria-labelledby="streams-title">
      <header class="panel-head"><h1 id="streams-title">Streams</h1></header>
      <Filters key={query.toString()} filters={filters} onFilters={(wanted) => {
        setAfter(undefined);
        location.hash = href('streams', undefined, Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== '')));
      }} />
      {told !== undefined && <p class="note good" role="status">{told}</p>}
      <Shown of={page}>
        {({ streams, cursor, more, ...rest }) => (
          <>
            <Partial of={rest} />
            {streams.length === 0
              ? <Empty title={isFiltered ? 'No stream matches' : 'No streams are open: open one'}>{!isFiltered && <Command text={`curl -N ${credential(api.token !== undefined)}'${BASE}topics/hello/events'`} />}</Empty>
              : (
                <Table caption="Streams" rows={streams} keyOf={({ id }) => id} columns={[
                  { title: 'Stream', cell: ({ id }) => <code>{id}</code> },
                  { title: 'Who', cell: ({ member, credential, address }) => <><Raw text={member ?? credential ?? 'nobody in particular'} />{address !== undefined && <span class="sub">{address}</span>}</> },
                  { title: 'Topics', cell: ({ topics, moreTopics }) => <span class="long">{topics.map((topic, place) => <>{place > 0 && ', '}<Raw text={topic} /></>)}{moreTopics !== undefined && ` and ${count(moreTopics)} more`}</span> },
                  { title: 'Open for', cell: ({ opened }) => <time dateTime={opened} title={opened}>{age(opened)}</time> },
                  { title: 'Behind', isNumber: true, cell: ({ behind }) => behind === 0 ? <Chip tone="good">live</Chip> : <Chip tone="warn">{count(behind)}</Chip> },
                  { title: 'Sent', isNumber: true, cell: (stream) => bytes(stream.bytes) },
                  { title: 'Client', cell: ({ client }) => client === undefined ? '–' : <Raw className="clip" text={client} /> },
                  { title: 'Instance', cell: ({ instance }) => <code>{instance}</code> },
                  { title: '', cell: (stream) => <button type="button" class="small" aria-label={`Close stream ${stream.id}`} onClick={() => setClosing(stream)}>Close</button> },
                ]} />
              )}
            <Pages after={after} next={more ? cursor : undefined} onPage={setAfter} />
          </>
        )}
      </Shown>
      {closing !== undefined && (
        <Confirm title="Close this stream?" action="Close the stream" onClose={() => setClosing(undefined)} onConfirm={async () => {
          await api.send(`streams/${encodeURIComponent(closing.id)}`, { method: 'DELETE' });
          setTold(`Stream ${closing.id} is closed.`);
          page.reload();
        }}>
          <p><code>{closing.id}</code>, of {plural(closing.topics.length + (closing.moreTopics ?? 0), 'topic')}. Its client is told to come back, and goes on where it was.</p>
        </Confirm>
      )}
    </section>
  );
}

type FilterNames = 'topic' | 'member' | 'instance' | 'behind';

function Filters({ filters, onFilters }: { readonly filters: Readonly<Record<FilterNames, string>>; readonly onFilters: (filters: Readonly<Record<FilterNames, string>>) => void }): JSX.Element {
  const [wanted, setWanted] = useState(filters);
  const text = (name: 'topic' | 'member', label: string): JSX.Element => (
    <Field label={label}>{(attributes) => <input {...attributes} value={wanted[name]} placeholder="any" spellcheck={false} autocapitalize="off" autocomplete="off" onInput={(event) => setWanted({ ...wanted, [name]: event.currentTarget.value })} />}</Field>
  );
  return (
    <form class="wish streams-wish" onSubmit={(event) => {
      event.preventDefault();
      onFilters(wanted);
    }}>
      {text('topic', 'Topic')}
      {text('member', 'Member')}
      <label class="check"><input type="checkbox" checked={wanted.behind === '1'} onChange={(event) => onFilters({ ...wanted, behind: event.currentTarget.checked ? '1' : '' })} /> Only behind</label>
      <button type="submit">Show</button>
    </form>
  );
}
