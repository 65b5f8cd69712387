/**
 * Socket.IO with its Redis adapter, as the adapter's README shows it with ioredis. A client joins the room of a topic by
 * emitting `join`; a message is emitted to the room, and the adapter carries it to the other processes. Defaults (a ping
 * every 25 s among them), and what Socket.IO's page on memory advises: the first request of each client is not kept.
 * It keeps no history, and the adapter does not know Socket.IO's recovery of connections.
 */
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { Server } from 'socket.io';

const publisher = new Redis(process.env['REDIS_URL'] ?? 'redis://127.0.0.1');
const subscriber = publisher.duplicate();

const server = createServer((request, response) => {
  const [, route, topic = ''] = request.url?.split('/') ?? [];
  if (request.method === 'POST' && route === 'publish') void publish(request, response, topic);
  else response.writeHead(404).end();
});
// As Fastify's default: a publisher that is quiet for five seconds keeps its connection.
server.keepAliveTimeout = 72_000;

const io = new Server(server, { adapter: createAdapter(publisher, subscriber) });
io.engine.on('connection', (socket: { request: IncomingMessage | null }) => {
  socket.request = null;
});
io.on('connection', (socket) => {
  socket.on('join', async (topic: string, joined?: () => void) => {
    await socket.join(topic);
    joined?.();
  });
});
server.listen(Number(process.env['PORT']), '127.0.0.1');

async function publish(request: IncomingMessage, response: ServerResponse, topic: string): Promise<void> {
  io.to(topic).emit('message', await text(request));
  response.writeHead(201).end();
}
