import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useMemo, useReducer, useState } from 'preact/hooks';
import { Chip, Command, CopyButton, Empty, Field, Menu } from '../parts.tsx';
import { BASE, topicPath } from '../api.ts';
import { count, plural, shellQuoted } from '../text.ts';
import { topicsIn } from './beginning.ts';
import { COPIES, credential } from './copy-as.ts';
import type { Feed, FeedWish } from './feed.ts';
import { MessageDetail } from './message-detail.tsx';
import { RowFilter } from './row-filter.ts';
import { RowList } from './row-list.tsx';

const BEGINNINGS: readonly (readonly [from: string, label: string])[] = [
  ['now', 'now on'], ['last:20', 'the last 20'], ['last:1000', 'the last 1,000'], ['since:10m', '10 minutes ago'], ['since:1h', 'an hour ago'], ['since:24h', 'a day ago'], ['start', 'the oldest held'],
];

const STATES = {
  connecting: ['quiet', 'connecting'], 'catching-up': ['quiet', 'catching up'], live: ['good', 'live'], offline: ['bad', 'offline: trying again'], denied: ['bad', 'refused'], closed: ['quiet', 'closed'],
} as const;

/** Messages as they come. @param example A topic for the command, or `''` where none is known; undefined where the person may not publish. */
export function FeedPanel({ feed, example, onWish, children }: { readonly feed: Feed; readonly example: string | undefined; readonly onWish: (wish: FeedWish) => void; readonly children?: ComponentChildren }): JSX.Element {
  const [, draw] = useReducer((turn: number) => turn + 1, 0);
  useEffect(() => feed.onChange(() => draw(undefined)), [feed]);
  /** The key of the newest row that is shown; undefined while all are. */
  const [pausedAt, setPausedAt] = useState<number>();
  const [filter, setFilter] = useState('');
  const wanted = useMemo(() => new RowFilter(filter), [filter]);
  const [hasNotes, setNotes] = useState(true);
  const [selected, setSelected] = useState<number>();

  const { log, wish, status } = feed;
  const all = pausedAt === undefined ? log.rows : log.rows.filter(({ key }) => key <= pausedAt);
  const waiting = pausedAt === undefined ? 0 : log.rows.reduce((sum, row) => sum + (row.kind === 'message' && row.key > pausedAt ? 1 : 0), 0);
  const rows = filter === '' && hasNotes ? all : all.filter((row) => row.kind === 'note' ? hasNotes && filter === '' : wanted.has(row));
  const shown = rows.find((row) => row.key === selected);
  const hasMessages = log.messages > 0;
  const [tone, label] = STATES[status];

  return (
    <section class="panel feed" aria-labelledby="feed-title">
      <header class="panel-head">
        <h1 id="feed-title">Feed</h1>
        <Chip tone={tone}><span role="status">{label}</span></Chip>
        <span class="counts">{plural(log.messages, 'message')}{log.dropped > 0 && `, the oldest ${count(log.dropped)} dropped from this page`}</span>
      </header>
      <WishForm key={`${wish.topics.join(' ')} ${wish.from}`} wish={wish} onWish={onWish} />
      <div class="toolbar">
        <button type="button" aria-pressed={pausedAt !== undefined} onClick={() => setPausedAt(pausedAt === undefined ? log.lastKey : undefined)}>
          {pausedAt === undefined ? 'Pause' : waiting === 0 ? 'Go on' : `Go on (${count(waiting)} new)`}
        </button>
        <input type="search" class="filter" aria-label="Filter" placeholder="Filter what is shown" value={filter} onInput={(event) => setFilter(event.currentTarget.value)} />
        <label class="check"><input type="checkbox" checked={hasNotes} onChange={(event) => setNotes(event.currentTarget.checked)} /> Protocol</label>
        <button type="button" onClick={() => log.clear()}>Clear</button>
        <Menu title="Copy as">{COPIES.map(([name, text]) => <CopyButton key={name} text={() => text(wish, feed.hasToken)} label={name} />)}</Menu>
      </div>
      {rows.length === 0 && filter !== '' && hasMessages
        ? <Empty title="Nothing here has that in it" />
        : <RowList rows={rows} selected={selected} onSelect={({ key }) => setSelected(key === selected ? undefined : key)} />}
      {!hasMessages && status === 'live' && (
        <Empty title={example === undefined ? 'Nothing yet' : 'Nothing yet: publish one'}>
          {children}
          {example !== undefined && example !== '' && <Command text={`curl ${credential(feed.hasToken)}-d 'hello, world' ${shellQuoted(`${BASE}${topicPath(example)}`)}`} />}
        </Empty>
      )}
      {shown?.kind === 'message' && <MessageDetail key={shown.key} isSought row={shown} onClose={() => setSelected(undefined)} />}
    </section>
  );
}

function WishForm({ wish, onWish }: { readonly wish: FeedWish; readonly onWish: (wish: FeedWish) => void }): JSX.Element {
  const [text, setText] = useState(wish.topics.join(' '));
  const isKnown = BEGINNINGS.some(([from]) => from === wish.from);
  const watch = (from = wish.from): void => {
    const topics = topicsIn(text);
    if (topics.length > 0) onWish({ topics, from });
  };
  return (
    <form class="wish" onSubmit={(event) => {
      event.preventDefault();
      watch();
    }}>
      <Field label="Topics or patterns">
        {(attributes) => <input {...attributes} value={text} spellcheck={false} autocapitalize="off" autocomplete="off" placeholder="deploys.* or > for all" onInput={(event) => setText(event.currentTarget.value)} />}
      </Field>
      <Field label="From">
        {(attributes) => (
          <select {...attributes} value={wish.from} onChange={(event) => watch(event.currentTarget.value)}>
            {BEGINNINGS.map(([from, label]) => <option key={from} value={from}>{label}</option>)}
            {!isKnown && <option value={wish.from}>{wish.from.replace(':', ' ')}</option>}
          </select>
        )}
      </Field>
      <button type="submit">Watch</button>
    </form>
  );
}
