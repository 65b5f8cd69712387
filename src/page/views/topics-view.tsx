import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { BASE, query, topicPath, type Api, type Index } from '../api.ts';
import { credential } from '../feed/copy-as.ts';
import { MessageDetail } from '../feed/message-detail.tsx';
import { useLoad } from '../load.ts';
import { Command, Empty, Pages, Partial, Raw, Shown, Table } from '../parts.tsx';
import { href } from '../route.ts';
import { Sparkline } from '../sparkline.tsx';
import type { RatesAnswer, SeenRates } from '../topics/seen-rates.ts';
import { age, bytes, clock, count, dataText, jsonText, plural, rate, visible } from '../text.ts';
import type { Message } from '../../client/api.ts';

const TOPICS_EVERY_MS = 5_000;
const PAGE_TOPICS_ENTRIES = 100;
const PAGE_HISTORY_MESSAGES = 50;

interface Topic {
  readonly topic: string;
  readonly streams: number;
  readonly messages: number;
  readonly more?: true;
  readonly bytes: number;
  readonly newest?: string;
  readonly time?: string;
  readonly rate?: number;
}
interface TopicsPage {
  readonly topics: readonly Topic[];
  readonly cursor?: string;
  readonly more: boolean;
  readonly partial?: true;
  readonly missing?: readonly string[];
}

type Sort = 'name' | 'newest' | 'rate';

/** The list of topics, and the page of one topic. @param rates The rates that the page has seen, kept while other views are shown. */
export function TopicsView({ api, you, subject, rates }: { readonly api: Api; readonly you: Index['you']; readonly subject: string | undefined; readonly rates: SeenRates }): JSX.Element {
  return subject === undefined ? <TopicList api={api} rates={rates} /> : <TopicPage key={subject} api={api} you={you} topic={subject} rates={rates} />;
}

function TopicList({ api, rates }: { readonly api: Api; readonly rates: SeenRates }): JSX.Element {
  const [sort, setSort] = useState<Sort>('newest');
  const [prefix, setPrefix] = useState('');
  const [after, setAfter] = useState<string>();
  const page = useLoad(async (signal): Promise<TopicsPage> => {
    const list = api.json<TopicsPage>(`topics${query({ sort, prefix, after, limit: PAGE_TOPICS_ENTRIES })}`, { signal });
    const [answer] = await Promise.all([list, lookAtRates(api, rates, prefix, signal, sort === 'rate' && after === undefined ? list : undefined)]);
    return answer;
  }, `${sort} ${prefix} ${after ?? ''}`, TOPICS_EVERY_MS);
  const by = (name: Sort): { readonly sort: () => void; readonly isSorted: boolean } => ({
    isSorted: sort === name,
    sort: () => {
      setAfter(undefined);
      setSort(name);
    },
  });

  return (
    <section class="panel" aria-labelledby="topics-title">
      <header class="panel-head">
        <h1 id="topics-title">Topics</h1>
        <input type="search" class="filter" aria-label="Topics that begin with" placeholder="Begins with…" value={prefix} onInput={(event) => {
          setAfter(undefined);
          setPrefix(event.currentTarget.value.trim());
        }} />
        <label class="check">Sort
          <select value={sort} onChange={(event) => by(event.currentTarget.value as Sort).sort()}>
            <option value="newest">newest first</option><option value="name">name</option><option value="rate">busiest first</option>
          </select>
        </label>
      </header>
      <Shown of={page}>
        {({ topics, cursor, more, ...rest }) => (
          <>
            <Partial of={rest} />
            {topics.length === 0
              ? prefix === '' ? <Empty title="No topics yet: publish to one"><Command text={`curl ${credential(api.token !== undefined)}-d 'hello, world' ${BASE}topics/hello`} /></Empty> : <Empty title={`No topic begins with ${visible(prefix)}`} />
              : (
                <Table caption="Topics" rows={topics} keyOf={({ topic }) => topic} columns={[
                  { title: 'Topic', ...by('name'), cell: ({ topic }) => <a href={href('topics', topic)} class="long"><Raw text={topic} /></a> },
                  { title: 'Newest', ...by('newest'), cell: ({ time }) => time === undefined ? '–' : <time dateTime={time} title={time}>{age(time)} ago</time> },
                  { title: 'Messages', isNumber: true, cell: ({ messages, more: isMore }) => `${count(messages)}${isMore === true ? '+' : ''}` },
                  { title: 'Size', isNumber: true, cell: ({ bytes: size, more: isMore }) => `${bytes(size)}${isMore === true ? '+' : ''}` },
                  { title: 'Streams', isNumber: true, cell: ({ streams }) => count(streams) },
                  { title: 'Messages a second', ...by('rate'), isNumber: true, cell: ({ topic, rate: now }) => <Rate course={rates.course(topic)} now={now} /> },
                ]} />
              )}
            <Pages after={after} next={more ? cursor : undefined} onPage={setAfter} />
          </>
        )}
      </Shown>
    </section>
  );
}

/** Requests the rates of the busiest topics if they are due. @param asked The answer to the same request, if it was made already. */
async function lookAtRates(api: Api, rates: SeenRates, prefix: string, signal: AbortSignal, asked?: Promise<RatesAnswer>): Promise<void> {
  if (!rates.isDue(prefix)) return;
  rates.add(await (asked ?? api.json<RatesAnswer>(`topics${query({ sort: 'rate', prefix, limit: PAGE_TOPICS_ENTRIES })}`, { signal })), prefix);
}

/** Messages a second in the last minute, and how that was since the page was opened. */
function Rate({ course, now = course?.at(-1) }: { readonly course: readonly number[] | undefined; readonly now?: number | undefined }): JSX.Element {
  if (course === undefined) return <>–</>;
  return <span class="rate">{rate(now ?? 0)}<Sparkline values={course} least={0.1} /></span>;
}

interface HistoryPage {
  readonly messages: readonly (Message & { readonly erased?: true })[];
  readonly cursor: string;
  readonly more: boolean;
  readonly gap?: { readonly reason: string };
}
interface TopicPresence {
  readonly streams: number;
  readonly members: readonly { readonly id: string; readonly streams: number; readonly since: string; readonly meta?: unknown }[];
  readonly more: boolean;
  readonly partial?: true;
}

function TopicPage({ api, you, topic, rates }: { readonly api: Api; readonly you: Index['you']; readonly topic: string; readonly rates: SeenRates }): JSX.Element {
  const seen = useLoad(async (signal) => {
    await lookAtRates(api, rates, topic, signal);
    return rates.course(topic) ?? [];
  }, `rate ${topic}`, TOPICS_EVERY_MS);
  return (
    <>
      <section class="panel" aria-labelledby="topic-title">
        <header class="panel-head">
          <h1 id="topic-title" class="long"><Raw text={topic} /></h1>
          {seen.value !== undefined && seen.error === undefined && <span class="counts topic-rate"><Rate course={rates.course(topic)} /> messages a second in the last minute</span>}
          <span class="spread" />
          <a class="button" href="#/topics">All topics</a>
          {you.read && <a class="button" href={href('feed', undefined, { topics: topic, from: 'last:20' })}>Its feed</a>}
          {you.streams && <a class="button" href={href('streams', undefined, { topic })}>Its streams</a>}
        </header>
        {you.read ? <History api={api} topic={topic} /> : <p class="hint">Its messages take the grant <code>subscribe</code>, which this key or token does not have.</p>}
      </section>
      <Listeners api={api} topic={topic} />
    </>
  );
}

/** History, the newest page first. From there it leads to the oldest message in the log, and on by cursor. */
function History({ api, topic }: { readonly api: Api; readonly topic: string }): JSX.Element {
  const [after, setAfter] = useState<string>();
  const [open, setOpen] = useState<string>();
  const page = useLoad((signal) => api.json<HistoryPage>(topicPath(topic, `/messages${query(after === undefined ? { last: PAGE_HISTORY_MESSAGES } : { after, limit: PAGE_HISTORY_MESSAGES })}`), { signal }), `${topic} ${after ?? ''}`);
  return (
    <Shown of={page}>
      {({ messages, cursor, more, gap }) => (
        <>
          <h2>{after === undefined ? `The newest ${plural(messages.length, 'message')}` : `${plural(messages.length, 'message')}, oldest first`}</h2>
          {gap !== undefined && after !== 'start' && <p class="note warn">Messages before these may be missing ({gap.reason}).</p>}
          {messages.length === 0 && <Empty title="No messages here" />}
          <ul class="history">
            {(after === undefined ? messages.toReversed() : messages).map((message) => {
              const { text, form } = dataText(message.data);
              if (message.erased === true) return <li key={message.id} class="row row-note quiet"><time dateTime={message.time}>{clock(message.time)}</time><span class="row-text">erased</span></li>;
              return (
                <li key={message.id}>
                  <button type="button" class="row row-message" aria-expanded={open === message.id} onClick={() => setOpen(open === message.id ? undefined : message.id)}>
                    <time dateTime={message.time} title={message.time}>{new Date(message.time).toLocaleDateString()} {clock(message.time)}</time>
                    <Raw className="row-event" text={message.event === 'message' ? '' : message.event} />
                    <Raw className="row-text" text={text.slice(0, 300)} />
                  </button>
                  {open === message.id && <MessageDetail row={{ kind: 'message', key: 0, message, text, form, isErased: false }} onClose={() => setOpen(undefined)} />}
                </li>
              );
            })}
          </ul>
          <div class="actions">
            {after !== 'start' && <button type="button" onClick={() => setAfter('start')}>From the oldest</button>}
            {after === undefined ? <button type="button" onClick={page.reload}>Look again</button> : <button type="button" onClick={() => setAfter(undefined)}>The newest</button>}
            {after !== undefined && more && <button type="button" onClick={() => setAfter(cursor)}>Next page</button>}
          </div>
        </>
      )}
    </Shown>
  );
}

function Listeners({ api, topic }: { readonly api: Api; readonly topic: string }): JSX.Element {
  const listeners = useLoad(async (signal) => {
    const [presence, { topics: [first] }] = await Promise.all([api.json<TopicPresence>(topicPath(topic, '/presence'), { signal }), api.json<TopicsPage>(`topics${query({ sort: 'name', prefix: topic, limit: 1 })}`, { signal })]);
    // As in the list of topics: streams of patterns count.
    return { ...presence, getting: first?.topic === topic ? first.streams : undefined };
  }, topic, TOPICS_EVERY_MS);
  return (
    <section class="panel" aria-labelledby="listeners-title">
      <header class="panel-head"><h1 id="listeners-title">Who listens</h1></header>
      <Shown of={listeners}>
        {({ streams, members, more, partial, getting }) => (
          <>
            <Partial of={partial === undefined ? {} : { partial }} />
            <p>{getting === undefined ? 'The topic has no messages, and no stream names it.' : <>{plural(getting, 'stream')} {getting === 1 ? 'gets' : 'get'} its messages, by its name or by a pattern.</>}{members.length > 0 && ` ${plural(members.length, 'member')}${more ? ' and more' : ''} of the ${plural(streams, 'stream')} that name it:`}</p>
            {members.length > 0 && <Table caption="Members" rows={members} keyOf={({ id }) => id} columns={[
              { title: 'Member', cell: ({ id }) => <Raw text={id} /> },
              { title: 'Streams', isNumber: true, cell: (member) => count(member.streams) },
              { title: 'For', cell: ({ since }) => age(since) },
              { title: 'Tells of itself', cell: ({ meta }) => meta === undefined ? '' : <Raw text={jsonText(meta) ?? ''} /> },
            ]} />}
          </>
        )}
      </Shown>
    </section>
  );
}

