import type { JSX } from 'preact';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Api, ApiError, type Index } from './api.ts';
import { isBeginning, wordsIn } from './feed/beginning.ts';
import { Feed, type FeedWish } from './feed/feed.ts';
import { FeedPanel } from './feed/feed-panel.tsx';
import { useLoad } from './load.ts';
import { ErrorNote } from './parts.tsx';
import { href, useRoute, type Route } from './route.ts';
import { visible } from './text.ts';
import { SeenRates } from './topics/seen-rates.ts';
import { ApiView } from './views/api/api-view.tsx';
import { ConnectorsView } from './views/connectors-view.tsx';
import { DoctorView } from './views/doctor-view.tsx';
import { EVERYTHING, firstState, offeredTopic, withAllowed, type PublishState } from './views/publish/draft.ts';
import { FleetView } from './views/fleet-view.tsx';
import { KeysView } from './views/keys-view.tsx';
import { MessageView } from './views/message-view.tsx';
import { PublishPanel } from './views/publish/publish-panel.tsx';
import { SignIn, signOut } from './views/sign-in.tsx';
import { StreamsView } from './views/streams-view.tsx';
import { TopicsView } from './views/topics-view.tsx';
import { WebhooksView } from './views/webhooks/webhooks-view.tsx';

interface View {
  readonly name: string;
  readonly title: string;
  /** It takes a key or token in a header, never a session. */
  readonly takesKey?: true;
  readonly isFor: (index: Index) => boolean;
  /** The grant that it takes, as `tidings keys create` calls it. */
  readonly grant: string;
  /** Others lead to it, and the navigation does not. */
  readonly isLinked?: true;
}

/** In the order of the navigation. What the person may not do is not offered. */
const VIEWS: readonly View[] = [
  { name: 'feed', title: 'Feed', isFor: ({ you }) => you.read, grant: 'subscribe' },
  { name: 'publish', title: 'Publish', isFor: ({ you }) => you.publish, grant: 'publish' },
  { name: 'topics', title: 'Topics', isFor: ({ you }) => you.presence, grant: 'presence' },
  { name: 'streams', takesKey: true, title: 'Streams', isFor: ({ you }) => you.streams, grant: 'admin' },
  { name: 'fleet', takesKey: true, title: 'Fleet', isFor: ({ you }) => you.operate, grant: 'operate' },
  { name: 'keys', takesKey: true, title: 'Keys', isFor: ({ you, open }) => you.administer || open, grant: 'admin' },
  { name: 'webhooks', takesKey: true, title: 'Webhooks', isFor: ({ you, open }) => you.administer || open, grant: 'admin' },
  { name: 'connectors', takesKey: true, title: 'Connectors', isFor: ({ you, open }) => you.administer || open, grant: 'admin' },
  { name: 'doctor', title: 'Doctor', isFor: ({ you }) => you.read, grant: 'subscribe' },
  { name: 'api', takesKey: true, title: 'API', isFor: ({ you }) => you.operate, grant: 'operate' },
  { name: 'messages', title: 'Message', isFor: ({ you }) => you.read || you.streams, grant: 'subscribe', isLinked: true },
];

export function App(): JSX.Element {
  const [token, setToken] = useState<string>();
  const [turn, setTurn] = useState(0);
  const api = useMemo(() => new Api(token), [token]);
  const isUnknown = useLoad((signal) => api.json<Index>('.', { signal }), `${token ?? ''} ${turn}`);
  const { value: index, error, reload } = isUnknown;
  const route = useRoute();
  const isRefused = error instanceof ApiError && error.status === 401;

  const leave = async (): Promise<void> => {
    if (index?.sessions === true) await signOut(api);
    setToken(undefined);
    setTurn((before) => before + 1);
  };

  return (
    <>
      <header class="top">
        <a class="brand" href="#/feed"><img src="page/icon.svg" alt="" width="24" height="24" />Tidings</a>
        {index !== undefined && <Navigation index={index} route={route} />}
        {index !== undefined && <Who index={index} isSession={isSession(api, index)} onLeave={leave} />}
      </header>
      <main>
        {index === undefined && error === undefined && <p class="loading" role="status">Loading…</p>}
        {index === undefined && error !== undefined && !isRefused && <ErrorNote error={error} retry={reload} />}
        {isRefused && <SignIn why={error} onToken={setToken} onSession={() => setTurn((before) => before + 1)} />}
        {index !== undefined && <Body key={`${token ?? ''} ${turn}`} api={api} index={index} route={route} onToken={setToken} onSession={() => setTurn((before) => before + 1)} />}
      </main>
    </>
  );
}

function Navigation({ index, route }: { readonly index: Index; readonly route: Route }): JSX.Element {
  const bar = useRef<HTMLElement>(null);
  // In a narrow window the bar may be wider than its place.
  useEffect(() => bar.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' }), [route.view]);
  return (
    <nav aria-label="Views" ref={bar}>
      {VIEWS.filter(({ isFor, isLinked }) => isFor(index) && isLinked !== true).map(({ name, title }) => <a key={name} href={href(name)} aria-current={(route.view || 'feed') === name ? 'page' : undefined}>{title}</a>)}
      {!index.open && index.you.name === undefined && <a href={href('sign-in')} aria-current={route.view === 'sign-in' ? 'page' : undefined}>Sign in</a>}
    </nav>
  );
}

/** Whether only a cookie tells who the person is: after a reload, the page has no key any more. */
function isSession({ token }: Api, { you: { name } }: Index): boolean {
  return token === undefined && name !== undefined;
}

function Who({ index: { you: { name, member = name }, open }, isSession: isOnlySession, onLeave }: { readonly index: Index; readonly isSession: boolean; readonly onLeave: () => Promise<void> }): JSX.Element | null {
  if (member !== undefined) return <div class="who"><bdi title={visible(name ?? member)}>{visible(member)}</bdi>{isOnlySession && <a href={href('sign-in')} title="A session reads and publishes. Administering takes your key again.">Use a key</a>}<button type="button" class="small" onClick={() => void onLeave()}>Sign out</button></div>;
  return open ? <div class="who" title="Everybody who reaches this address may publish and read.">open to everybody here</div> : null;
}

interface BodyProps {
  readonly api: Api;
  readonly index: Index;
  readonly route: Route;
  readonly onToken: (token: string) => void;
  readonly onSession: () => void;
}

function Body({ api, index, route, onToken, onSession }: BodyProps): JSX.Element {
  const { you } = index;
  const [publishing, setPublishing] = useState<PublishState>(() => firstState(index.open ? EVERYTHING : undefined));
  const rates = useMemo(() => new SeenRates(), [api]);
  const feed = useFeed(api, index, route);
  const changePublishing = useCallback((change: (before: PublishState) => PublishState) => setPublishing(change), []);
  useEffect(() => {
    if (index.open || !you.publish) return;
    const abort = new AbortController();
    api.json<{ readonly publish: readonly string[] }>('access', { signal: abort.signal }).then(({ publish: allowed }) => setPublishing((before) => withAllowed(before, allowed)), (error: unknown) => {
      // Without this answer the form begins without a topic. The feed shows the reason.
      if (!(error instanceof ApiError || abort.signal.aborted)) throw error;
    });
    return () => abort.abort();
  }, [api, index.open, you.publish]);
  const publish = you.publish && <PublishPanel api={api} mayReport={you.presence} feed={feed} state={publishing} onState={changePublishing} />;
  const view = VIEWS.find(({ name }) => name === (route.view || 'feed'));

  useEffect(() => {
    document.title = view === undefined ? 'Tidings' : `${view.title} – Tidings`;
  }, [view]);

  const signIn = { sessions: index.sessions, hasSession: isSession(api, index), onToken, onSession };
  if (route.view === 'sign-in' || (!index.open && you.name === undefined && !you.read && !you.publish)) return <SignIn {...signIn} />;
  if (view === undefined) return <div class="panel"><h1>There is no such view</h1><p>Nothing is at <code class="long">{visible(location.hash)}</code>. The address may have been cut, or mistyped.</p><p><a href="#/feed">To the feed</a></p></div>;
  if (!view.isFor(index)) {
    if (view.takesKey === true && signIn.hasSession) return <SignIn {...signIn} />;
    const first = VIEWS.find(({ isFor, isLinked }) => isFor(index) && isLinked !== true);
    return <div class="panel"><h1>{view.title}</h1><p>This takes the grant <code>{view.grant}</code>, {you.name === undefined ? 'and you have no key or token.' : 'which this key or token does not have.'} {first !== undefined && <a href={href(first.name)}>To: {first.title}</a>}</p></div>;
  }
  switch (view.name) {
    case 'publish': return <div class="narrow">{publish}</div>;
    case 'topics': return <TopicsView api={api} you={you} subject={route.subject} rates={rates} />;
    case 'streams': return <StreamsView api={api} query={route.query} />;
    case 'fleet': return <FleetView api={api} you={you} />;
    case 'webhooks': return <WebhooksView api={api} you={you} subject={route.subject} />;
    case 'connectors': return <ConnectorsView api={api} you={you} />;
    case 'keys': return <KeysView api={api} index={index} />;
    case 'doctor': return <DoctorView api={api} you={you} />;
    case 'messages': return <MessageView api={api} you={you} id={route.subject} />;
    case 'api': return <ApiView api={api} />;
    default: return (
      <div class={publish === false ? '' : 'beside'}>
        {publish}
        {feed !== undefined && <FeedPanel feed={feed} example={you.publish ? offeredTopic(publishing.allowed ?? []) : undefined} onWish={({ topics, from }) => {
          location.hash = href('feed', undefined, { topics: topics.join(' '), from });
        }} />}
      </div>
    );
  }
}

/** The feed that the address asks for; another view leaves it as it is. */
function useFeed(api: Api, { you }: Index, { view, query }: Route): Feed | undefined {
  const isAsked = view === '' || view === 'feed';
  const [feed, setFeed] = useState<Feed>();
  const topics = query.get('topics') ?? (you.topics === undefined ? '>' : you.topics.join(' '));
  const wanted = query.get('from') ?? '';
  const from = isBeginning(wanted) ? wanted : 'last:20';
  const [asked, setAsked] = useState<FeedWish>();
  const wish = useMemo(() => ({ topics: wordsIn(topics), from }), [topics, from]);
  useEffect(() => {
    if (isAsked && you.read && wish.topics.length > 0) setAsked(wish);
  }, [isAsked, you.read, wish]);
  useEffect(() => {
    if (asked === undefined) return;
    const made = new Feed(api, asked);
    setFeed(made);
    return () => made.close();
  }, [api, asked]);
  return feed;
}
