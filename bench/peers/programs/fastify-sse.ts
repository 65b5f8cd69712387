/**
 * Fastify with @fastify/sse and ioredis, put together as their READMEs show: what a team writes in an afternoon. A
 * publish takes an id with INCR and is sent with PUBLISH; each process subscribes once, and sends what it hears to its
 * own streams of the topic. Defaults throughout, a heartbeat every 30 s among them, but for
 * - `serializer`: the data is text already; as JSON it would be quoted once for every stream;
 * - bodies are taken as text, whatever their type: nothing here looks into them.
 * It keeps no history: a client that was away has missed what was sent.
 */
import { fastifySSE } from '@fastify/sse';
import { fastify, type FastifyReply } from 'fastify';
import { Redis } from 'ioredis';

interface Message {
  readonly id: string;
  readonly topic: string;
  readonly data: string;
}

const url = process.env['REDIS_URL'] ?? 'redis://127.0.0.1';
const publisher = new Redis(url);
const subscriber = new Redis(url);
const topics = new Map<string, Set<FastifyReply>>();

const app = fastify();
await app.register(fastifySSE, { serializer: String });
app.removeAllContentTypeParsers();
app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));

app.get<{ Params: { topic: string } }>('/events/:topic', { sse: 'only' }, async (request, reply) => {
  const { topic } = request.params;
  const streams = topics.get(topic) ?? new Set();
  topics.set(topic, streams.add(reply));
  reply.sse.onClose(() => {
    streams.delete(reply);
    if (streams.size === 0 && topics.get(topic) === streams) topics.delete(topic);
  });
  reply.sse.keepAlive();
  reply.sse.sendHeaders();
  reply.raw.flushHeaders();
});

app.post<{ Params: { topic: string }; Body: string | undefined }>('/publish/:topic', async (request, reply) => {
  const id = String(await publisher.incr('last-id'));
  const message: Message = { id, topic: request.params.topic, data: request.body ?? '' };
  await publisher.publish('messages', JSON.stringify(message));
  return reply.code(201).send({ id });
});

subscriber.on('message', (_channel: string, text: string) => {
  const { id, topic, data } = JSON.parse(text) as Message;
  for (const reply of topics.get(topic) ?? []) reply.sse.send({ id, data }).catch(gone);
});

/** Its client has left; `onClose` takes it out. */
function gone(error: unknown): void {
  app.log.info({ err: error }, 'not sent');
}

await subscriber.subscribe('messages');
await app.listen({ host: '127.0.0.1', port: Number(process.env['PORT']) });
