import t from 'tap';
import type { PresenceChange } from '../../src/client/api.ts';
import { connect, type Connection, type ConnectOptions } from '../../src/client/client.ts';
import { PresenceState, type PresenceEvent } from '../../src/client/presence-state.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import type { Scope } from '../support/temp.ts';
import { hs256, SECRET } from '../support/tokens.ts';
import { until } from '../support/until.ts';

/** Who listens, as the client library tells it. */

const instance = await startInstance(t, { LOG_LEVEL: 'error', JWT_SECRET: SECRET, RETRY_MIN_MS: '10', RETRY_MAX_MS: '20', PRESENCE_GRACE_SECONDS: '1' });
const http = new Http(t, instance.url);
const now = Math.floor(Date.now() / 1000);
const token = (sub: string, grants: object = {}): string => hs256({ sub, iat: now, exp: now + 3_600, tidings: { subscribe: ['room.>', 'private.>'], presence: ['room.>'], ...grants } });
const ADMIN = bearer(token('admin', { admin: true }));
const streams = async (): Promise<number> => Number(/^tidings_streams (\d+)$/m.exec((await http.get('/metrics', ADMIN)).body)![1]);

function open(t: Scope, user: string, options: ConnectOptions = {}): Connection {
  const tidings = connect(instance.url, { getToken: () => token(user), ...options });
  t.teardown(() => tidings.close());
  return tidings;
}

interface Watched {
  readonly changes: PresenceChange[];
  readonly errors: Error[];
  readonly stop: () => void;
}

function watch(tidings: Connection, topic: string): Watched {
  const presence = tidings.presence(topic);
  const watched: Watched = { changes: [], errors: [], stop: () => presence.stop() };
  presence.on('change', (change) => watched.changes.push(change));
  presence.on('error', (error) => watched.errors.push(error));
  return watched;
}

const members = ({ changes }: Watched): string => (changes.at(-1)?.members ?? []).map(({ id }) => id).toSorted().join();
const joinedIn = ({ changes }: Watched): string[] => changes.flatMap(({ joined }) => joined.map(({ id }) => id));
const leftIn = ({ changes }: Watched): string[] => changes.flatMap(({ left }) => [...left]);

void t.test('a page sees who is there, who comes and who goes', async (t) => {
  const alice = open(t, 'alice');
  const [one, two] = [watch(alice, 'room.1'), watch(alice, 'room.2')];
  await until('she is there herself', () => members(one) === 'alice' && members(two) === 'alice');
  const bob = open(t, 'bob');
  const subscription = bob.subscribe('room.1');
  await until('bob has come', () => members(one) === 'alice,bob');
  const again = watch(alice, 'room.1');
  await until('who watches later is told the state', () => members(again) === 'alice,bob');
  t.strictSame(joinedIn(again).toSorted(), ['alice', 'bob']);
  subscription.unsubscribe();
  await until('bob has gone', () => members(one) === 'alice');
  t.strictSame([joinedIn(one), leftIn(one)], [['alice', 'bob'], ['bob']]);
  t.equal(members(two), 'alice', 'the other room is as it was');
  await until('all are watched over one stream', async () => await streams() === 1);
  const late = watch(alice, 'private.7');
  await until('what she may not see is refused', () => late.errors.length === 1);
  t.match(late.errors, [{ code: 'forbidden', status: 403 }]);
  bob.subscribe('room.2');
  await until('the others go on', () => members(two) === 'alice,bob');
  for (const { stop } of [one, two, again, late]) stop();
  bob.close();
  await until('its stream ends', async () => await streams() === 0);
});

void t.test('where there is no access control a page says who it is; elsewhere its credential does', async (t) => {
  const service = await startInstance(t, { LOG_LEVEL: 'error' });
  const connected = (options: ConnectOptions): Connection => {
    const tidings = connect(service.url, options);
    t.teardown(() => tidings.close());
    return tidings;
  };
  const meta = { name: 'Alice & Zoë', colours: ['red'] };
  connected({ as: 'alice', meta }).subscribe('lobby');
  const watched = watch(connected({ as: 'bob' }), 'lobby');
  await until('both are there', () => members(watched) === 'alice,bob');
  t.strictSame(['alice', 'bob'].map((name) => watched.changes.at(-1)!.members!.find(({ id }) => id === name)!.meta), [meta, undefined]);
  for (const share of ['carol', 'dora']) connected({ as: share, share: true }).subscribe('lobby');
  await until('tabs of two members have a stream each', () => members(watched) === 'alice,bob,carol,dora');

  const refused = open(t, 'alice', { as: 'bob' });
  const errors: Error[] = [];
  refused.on('error', (error) => errors.push(error));
  const heard: Error[] = [];
  for (const topic of ['room.1', 'room.2']) refused.subscribe(topic).on('error', (error) => heard.push(error));
  await until('it is denied', () => refused.status === 'denied');
  t.match(errors, [{ code: 'forbidden', field: 'as' }]);
  t.strictSame(heard, [], 'no topic is refused');
});

void t.test('after a stream broke, and after a logout and a login, the state is told anew', async (t) => {
  const alice = open(t, 'alice');
  const bob = open(t, 'bob');
  bob.subscribe('room.3');
  const watched = watch(alice, 'room.3');
  await until('both are there', () => members(watched) === 'alice,bob');
  bob.close();
  await instance.restart('SIGKILL');
  await until('bob is not', () => members(watched) === 'alice');
  alice.logout();
  await until('nobody watches', async () => await streams() === 0);
  const told = watched.changes.length;
  alice.login();
  await until('it is told', () => watched.changes.length > told);
  t.equal(members(watched), 'alice');
});

void t.test('tabs that share watch over one stream', async (t) => {
  const tabs = ['first', 'second', 'third'].map(() => open(t, 'alice', { share: 'alice' }));
  const first = watch(tabs[0]!, 'room.4');
  await until('the first is told', () => members(first) === 'alice');
  const others = [watch(tabs[1]!, 'room.4'), watch(tabs[2]!, 'room.5')];
  await until('the others are', () => others.every((other) => members(other) === 'alice'));
  const bob = open(t, 'bob');
  bob.subscribe('room.4');
  bob.subscribe('room.5');
  await until('all see bob', () => [first, ...others].every((each) => members(each) === 'alice,bob'));
  await until('the tabs have one stream, and bob another', async () => await streams() === 2);
  // The one that holds the stream.
  tabs[0]!.close();
  bob.close();
  await until('the others see him go', () => others.every((other) => members(other) === 'alice'));
  for (const other of others) t.strictSame([joinedIn(other).toSorted(), leftIn(other)], [['alice', 'bob'], ['bob']]);
  await until('the tabs have one stream', async () => await streams() === 1);
});

const member = (id: string, streams = 1): { id: string; streams: number; since: string } => ({ id, streams, since: '2026-11-30T10:15:30.123Z' });
const event = (number: number, more: Partial<PresenceEvent>): PresenceEvent => ({ topic: 'room', number, streams: 1, ...more });

void t.test('an event that is missing is noticed, and above the bound there are counts alone', (t) => {
  const state = new PresenceState('room');
  t.equal(state.apply(event(1, { joined: [member('a')] })), 'missed', 'there was no state yet');
  t.match(state.apply(event(1, { members: [member('a'), member('b')] })), { count: 2, joined: [{ id: 'a' }, { id: 'b' }], left: [] });
  t.equal(state.apply(event(3, { left: ['b'] })), 'missed');
  t.match(state.apply(event(2, { left: ['b'], changed: [member('a', 2)] })), { members: [{ id: 'a', streams: 2 }], changed: [{ id: 'a' }], left: ['b'] });
  t.equal(state.apply(event(5, { members: [member('a', 2)] })), undefined, 'the same state is no change');
  t.match(state.apply(event(6, { members: [member('c')] })), { joined: [{ id: 'c' }], left: ['a'] });
  t.match(state.apply(event(7, { count: 501, streams: 600 })), { members: undefined, count: 501, streams: 600, joined: [], left: [] });
  t.equal(state.apply(event(8, { joined: [member('d')] })), 'missed');
  t.match(state.apply(event(9, { members: [member('c')], partial: true })), { count: 1, partial: true });
  t.end();
});

void t.test('a stream that lacks an event is opened anew', async (t) => {
  const told = [[event(1, { members: [member('a')] }), event(3, { joined: [member('c')] })], [event(1, { members: ['a', 'b', 'c'].map((id) => member(id)) })]];
  let opened = 0;
  const send: typeof fetch = (_input, init) => {
    const frames = [['$open', { cursor: 'k3f9x2ab7c-1' }, 'id: k3f9x2ab7c-1\n'], ...(told[opened++] ?? []).map((content) => ['$presence', content, ''])];
    return Promise.resolve(new Response(new ReadableStream({
      start: (controller) => {
        controller.enqueue(new TextEncoder().encode(frames.map(([name, content, id]) => `event: ${name as string}\ndata: ${JSON.stringify(content)}\n${id as string}\n`).join('')));
        init!.signal!.addEventListener('abort', () => controller.error(new Error('aborted')));
      },
    })));
  };
  const watched = watch(open(t, 'alice', { fetch: send }), 'room');
  await until('the state is told', () => members(watched) === 'a,b,c');
  t.equal(opened, 2);
});
