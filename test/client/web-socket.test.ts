import { createServer, request, type Server } from 'node:http';
import { registerHooks } from 'node:module';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { connect, type ConnectOptions, type Connection, type Message, type TidingsError } from '../../src/client/client.ts';
import { createEventStream } from '../../src/client/event-stream.ts';
import { createRequests } from '../../src/client/token-requests.ts';
import type { StreamsPage } from '../../src/fleet/stream-list.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { bearer } from '../support/keys-command.ts';
import { Link } from '../support/link.ts';
import type { Scope } from '../support/temp.ts';
import { hs256, SECRET } from '../support/tokens.ts';
import { until } from '../support/until.ts';

/** The client library over WebSockets: the same messages, once, in order. */

const instance = await startInstance(t, { LOG_LEVEL: 'warn', RETRY_MIN_MS: '10', RETRY_MAX_MS: '20' });
const http = new Http(t, instance.url);

function open(t: Scope, url: string, options: ConnectOptions = {}): Connection {
  const tidings = connect(url, { transport: 'websocket', ...options });
  t.teardown(() => tidings.close());
  return tidings;
}

const live = (tidings: Connection): Promise<void> => until('it is live', () => tidings.status === 'live');
const transports = async (): Promise<unknown[]> => (await http.json<StreamsPage>('/streams')).streams.map(({ transport }) => transport);

/** A proxy that knows of no upgrades. */
async function plainProxy(t: Scope): Promise<{ readonly proxy: Server; readonly url: string }> {
  const proxy = createServer(({ url, method, headers: { upgrade: _upgrade, connection: _connection, ...headers } }, response) => {
    const passed = request(`${instance.url}${url}`, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    passed.on('error', () => response.destroy()).end();
    response.on('close', () => passed.destroy());
  });
  await new Promise<void>((resolve) => void proxy.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  return { proxy, url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
}

const allGone = (): Promise<void> => until('no stream is left', async () => (await transports()).length === 0);

/** Sees that messages come over an event stream, which the list says nothing of. */
async function streams(t: Test, topic: string, url = instance.url): Promise<void> {
  const tidings = open(t, url);
  const heard: unknown[] = [];
  tidings.subscribe(topic).on('message', ({ data }) => heard.push(data));
  await live(tidings);
  t.same(await transports(), [undefined]);
  await http.publish(topic, 'comes');
  await until('it is there', () => heard.length === 1);
  t.same(heard, ['comes']);
  tidings.close();
  await allGone();
}

t.test('where its module cannot be loaded, an event stream comes', async (t) => {
  const hooks = registerHooks({
    resolve: (specifier, context, next) => {
      if (specifier === './web-socket.ts' && context.parentURL?.endsWith('/sources.ts') === true) throw new Error('the network is away');
      return next(specifier, context);
    },
  });
  await streams(t, 'unloaded');
  hooks.deregister();
});

t.test('where a page may open none, an event stream comes', async (t) => {
  const { WebSocket: Original } = globalThis;
  t.teardown(() => void (globalThis.WebSocket = Original));
  globalThis.WebSocket = class {
    constructor() {
      throw new Error('the policy of the page forbids it');
    }
  } as unknown as typeof WebSocket;
  await streams(t, 'forbidden');
});

t.test('where a handshake is held back, an event stream comes, and is not given up for another try', async (t) => {
  const { proxy, url } = await plainProxy(t);
  let upgrades = 0;
  proxy.on('upgrade', () => void upgrades++);
  const heard: string[] = [];
  const stream = createEventStream({
    requests: createRequests(url, {}), options: { transport: 'websocket', fallback: 'none' }, firstFrameMs: 100,
    listener: { wanted: () => ['held'], began: () => undefined, take: (event) => heard.push(event), refused: () => undefined, changed: () => undefined },
  });
  t.teardown(() => stream.close());
  for (let time = 1; time <= 2; time++) {
    stream.restart();
    await until('a stream has begun', async () => {
      await http.publish('held', 'comes');
      return heard.filter((event) => event === 'message').length > 0 && stream.state === 'open';
    });
    heard.length = 0;
  }
  t.equal(upgrades, 1);
  stream.close();
  await allGone();
});

t.test('messages come once and in order, over connections that are cut, and over changes of the topics', async (t) => {
  const proxy = await Link.start(t, instance.port);
  const tidings = open(t, proxy.url);
  const heard: unknown[] = [];
  const take = ({ data }: Message): void => void heard.push(data);
  tidings.subscribe('cut.a').on('message', take);
  await live(tidings);
  t.same(await transports(), ['websocket']);
  tidings.subscribe('cut.b').on('message', take);
  await live(tidings);
  const sent: number[] = [];
  for (let index = 0; index < 60; index++) {
    sent.push(index);
    await tidings.publish(index % 2 === 0 ? 'cut.a' : 'cut.b', index);
    if (index % 20 === 10) proxy.reset();
  }
  await until('all are there', () => heard.length >= sent.length);
  t.same(heard, sent);
  await live(tidings);
  t.same(await transports(), ['websocket']);
});

t.test('where no WebSocket comes through, an event stream does', async (t) => {
  await streams(t, 'blocked', (await plainProxy(t)).url);
});

t.test('a token opens it by a ticket, and refused topics are named', async (t) => {
  const closed = await startInstance(t, { LOG_LEVEL: 'warn', JWT_SECRET: SECRET, RETRY_MIN_MS: '10', RETRY_MAX_MS: '20' });
  const seconds = Math.floor(Date.now() / 1000);
  const token = hs256({ sub: 'alice', iat: seconds, exp: seconds + 600, tidings: { subscribe: ['own.>'], publish: ['own.>'] } });
  const tidings = open(t, closed.url, { getToken: () => token });
  const heard: unknown[] = [];
  tidings.subscribe('own.a').on('message', ({ data }) => heard.push(data));
  await live(tidings);
  await new Http(t, closed.url).publish('own.a', 'mine', bearer(token));
  await until('it is there', () => heard.length === 1);
  const foreign = open(t, closed.url, { getToken: () => token });
  const errors: string[] = [];
  foreign.subscribe('others').on('error', (error) => errors.push((error as TidingsError).code));
  await until('it is refused', () => errors.length === 1);
  t.same(errors, ['forbidden']);
});

t.test('where the service looks at no credential, a token is no hindrance', async (t) => {
  const off = await startInstance(t, { LOG_LEVEL: 'warn', AUTH: 'off' });
  const tidings = open(t, off.url, { getToken: () => 'of another time' });
  const errors: Error[] = [];
  tidings.on('error', (error) => errors.push(error));
  tidings.subscribe('off');
  await until('it is live, or has failed', () => tidings.status === 'live' || errors.length > 0);
  t.same(errors, []);
  t.match((await new Http(t, off.url).json<StreamsPage>('/streams')).streams, [{ transport: 'websocket' }]);
});

t.test('another word for it is a mistake', async (t) => {
  t.throws(() => connect(instance.url, { transport: 'tcp' as 'sse' }), { message: /transport must be "sse" or "websocket"/ });
});
