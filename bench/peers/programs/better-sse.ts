/**
 * better-sse as its guide to channels shows it, on Node's HTTP server: one channel for each topic, `broadcast` for each
 * message. Its options, but for two:
 * - `serializer`: the data is text already; as JSON it would be quoted once for every stream;
 * - `keepAlive`: a comment to each stream every 25 s rather than every 10, as often as the service under test.
 * It keeps no history, and ignores what `write` returns.
 */
import { createChannel, createSession, type Channel } from 'better-sse';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

const channels = new Map<string, Channel>();
let lastId = 0;

const server = createServer((request, response) => {
  const [, route, topic = ''] = request.url?.split('/') ?? [];
  if (request.method === 'GET' && route === 'events') void subscribe(request, response, topic);
  else if (request.method === 'POST' && route === 'publish') void publish(request, response, topic);
  else response.writeHead(404).end();
});
// As Fastify's default: a publisher that is quiet for five seconds keeps its connection.
server.keepAliveTimeout = 72_000;
server.listen(Number(process.env['PORT']), '127.0.0.1');

async function subscribe(request: IncomingMessage, response: ServerResponse, topic: string): Promise<void> {
  const session = await createSession(request, response, { serializer: String, keepAlive: 25_000 });
  channelOf(topic).register(session);
}

function channelOf(topic: string): Channel {
  const known = channels.get(topic);
  if (known !== undefined) return known;
  const channel = createChannel();
  channel.on('session-deregistered', () => {
    if (channel.sessionCount === 0) channels.delete(topic);
  });
  channels.set(topic, channel);
  return channel;
}

async function publish(request: IncomingMessage, response: ServerResponse, topic: string): Promise<void> {
  const data = await text(request);
  channels.get(topic)?.broadcast(data, 'message', { eventId: String(++lastId) });
  response.writeHead(201).end();
}
