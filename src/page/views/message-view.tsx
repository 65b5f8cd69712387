import type { ComponentChildren, JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { ApiError, BASE, mayPass, type Api, type Index } from '../api.ts';
import { credential } from '../feed/copy-as.ts';
import { dataSource } from '../feed/data-source.ts';
import { JsonTree, LongText } from '../feed/json-tree.tsx';
import { useLoad, type Loaded } from '../load.ts';
import { Chip, Command, CopyButton, Partial, Raw, Shown, Table } from '../parts.tsx';
import { href } from '../route.ts';
import { age, bytes, count, plural, shellQuoted, timeOfDay } from '../text.ts';
import type { Message } from '../../client/api.ts';

/** The interval of polling a message: it does not change, but may expire or be erased. */
const MESSAGE_EVERY_MS = 10_000;
const DELIVERY_EVERY_MS = 5_000;

const encoder = new TextEncoder();

interface Stored {
  readonly message: Message;
  readonly source: string;
}
interface Delivery {
  readonly topic: string;
  readonly streams: number;
  readonly passed: number;
  readonly instances: number;
  readonly lacking: readonly { readonly id: string; readonly instance: string; readonly member?: string; readonly credential?: string; readonly lacks: number }[];
  readonly more: boolean;
  readonly partial?: true;
  readonly missing?: readonly string[];
}

/** One message: its data, and how far it has come. */
export function MessageView({ api, you, id }: { readonly api: Api; readonly you: Index['you']; readonly id: string | undefined }): JSX.Element {
  if (id === undefined) return <section class="panel" aria-labelledby="message-title"><h1 id="message-title">Message</h1><p>The address of a message ends with its id: <code>#/messages/</code> and the id. The <a href="#/feed">feed</a> and the history of a topic lead to it.</p></section>;
  return (
    <>
      {you.read ? <Content key={id} api={api} id={id} /> : <section class="panel" aria-labelledby="message-title"><h1 id="message-title">Message</h1><p>To see it takes the grant <code>subscribe</code>, which this key or token does not have.</p></section>}
      {you.streams && <Deliveries key={`${id} delivery`} api={api} id={id} hasTitle={!you.read} />}
    </>
  );
}

function Content({ api, id }: { readonly api: Api; readonly id: string }): JSX.Element {
  const loaded = useLoad(async (signal): Promise<Stored> => {
    const answer = await api.send(messagePath(id), { signal });
    const body = await answer.text();
    const message = JSON.parse(body) as Message;
    return { message, source: typeof message.data === 'string' ? message.data : dataSource(body) ?? '' };
  }, id, MESSAGE_EVERY_MS);
  const gone = goneIn(loaded);
  return (
    <section class="panel message" aria-labelledby="message-title">
      <header class="panel-head"><h1 id="message-title">Message</h1> <code class="long">{id}</code> <CopyButton className="small" text={id} label="Copy id" /></header>
      {gone === undefined
        ? <Shown of={loaded}>{(stored) => <Fields api={api} id={id} stored={stored} />}</Shown>
        : <Gone code={gone}>{gone !== 'message-erased' && loaded.value !== undefined && <Fields api={api} id={id} stored={loaded.value} />}</Gone>}
    </section>
  );
}

function Fields({ api, id, stored: { message: { topic, event, time, data }, source } }: { readonly api: Api; readonly id: string; readonly stored: Stored }): JSX.Element {
  const isText = typeof data === 'string';
  const size = useMemo(() => encoder.encode(source).length, [source]);
  // Each poll brings the same data: keep the tree, so that its open branches stay open.
  const tree = useMemo(() => data, [source]);
  return (
    <>
      <dl class="facts">
        <dt>Topic</dt><dd><a href={href('topics', topic)}><Raw text={topic} /></a></dd>
        <dt>Event</dt><dd><Raw text={event} /></dd>
        <dt>Time</dt><dd><time dateTime={time}>{time}</time>, {age(time)} ago</dd>
        <dt>Data</dt><dd>{isText ? 'text' : 'JSON'}, {bytes(size)}{size >= 1024 && ` (${plural(size, 'byte')})`}</dd>
      </dl>
      <div class="data data-whole">{isText ? <pre><LongText text={source} /></pre> : <JsonTree value={tree} />}</div>
      <div class="actions">
        <CopyButton text={source} label="Copy data" />
        <a class="button" href={href('feed', undefined, { topics: topic, from: `after:${id}` })}>What came after it</a>
      </div>
      <Command text={`curl ${credential(api.token !== undefined)}${shellQuoted(new URL(messagePath(id), BASE).href)}`} />
    </>
  );
}

function messagePath(id: string): string {
  return `messages/${encodeURIComponent(id)}`;
}

/** Why a message is not there, where that will stay so. */
function goneIn({ error }: Pick<Loaded<unknown>, 'error'>): string | undefined {
  return error instanceof ApiError && !mayPass(error) && ['message-not-found', 'message-erased'].includes(error.code) ? error.code : undefined;
}

function Gone({ code, children }: { readonly code: string; readonly children?: ComponentChildren }): JSX.Element {
  const isShown = children !== undefined && children !== false;
  return (
    <>
      <p class="note warn" role="status"><span>
        {code === 'message-erased'
          ? 'This message was erased. Nothing of it is kept.'
          : isShown ? 'The log does not hold this message any more: its time to live has passed, or retention has deleted it. This page shows the copy that it received.'
            : 'There is no message with this id, or not any more: its time to live has passed, retention has deleted it, or you may not read its topic.'}
      </span></p>
      {isShown ? children : <div class="actions"><a class="button" href="#/feed">To the feed</a></div>}
    </>
  );
}

/** How many of the streams of its topic have passed its position. */
function Deliveries({ api, id, hasTitle }: { readonly api: Api; readonly id: string; readonly hasTitle: boolean }): JSX.Element | null {
  const loaded = useLoad((signal) => api.json<Delivery>(`${messagePath(id)}/delivery`, { signal }), id, DELIVERY_EVERY_MS);
  const gone = goneIn(loaded);
  // The message itself says so already.
  if (gone !== undefined && !hasTitle) return null;
  return (
    <section class="panel" aria-labelledby="delivery-title">
      <header class="panel-head"><h1 id="delivery-title">How far it has come</h1>{hasTitle && <code class="long">{id}</code>}</header>
      {gone !== undefined ? <Gone code={gone} /> : (
        <Shown of={loaded}>
          {({ topic, streams, passed, instances, lacking, more, ...rest }) => (
            <>
              <Partial of={rest} />
              <p>
                {streams === 0 ? <>No stream gets the messages of <Raw text={topic} /> now.</> : (
                  <>
                    <Chip tone={passed === streams ? 'good' : 'warn'}>{passed === streams ? 'all' : `${count(streams - passed)} behind`}</Chip>{' '}
                    {count(passed)} of the {plural(streams, 'stream')} that {streams === 1 ? 'gets' : 'get'} the messages of <Raw text={topic} /> now {passed === 1 ? 'has' : 'have'} passed it, on {plural(instances, 'instance')}.
                  </>
                )}{' '}
                Streams that have ended are not counted: nothing is kept of deliveries.
              </p>
              {lacking.length > 0 && (
                <Table caption="Streams behind it" rows={lacking} keyOf={({ id: stream }) => stream} columns={[
                  { title: 'Stream', cell: ({ id: stream }) => <code>{stream}</code> },
                  { title: 'Who', cell: ({ member, credential: name }) => <Raw text={member ?? name ?? 'nobody in particular'} /> },
                  { title: 'Lacks', isNumber: true, cell: ({ lacks }) => plural(lacks, 'message') },
                  { title: 'Instance', cell: ({ instance }) => <code>{instance}</code> },
                ]} />
              )}
              {more && <p>There are more than these {count(lacking.length)}. <a href={href('streams', undefined, { topic, behind: '1' })}>All streams of the topic that are behind</a></p>}
              {loaded.at !== undefined && <p class="sub">As it was at {timeOfDay(loaded.at)}.</p>}
            </>
          )}
        </Shown>
      )}
    </section>
  );
}
