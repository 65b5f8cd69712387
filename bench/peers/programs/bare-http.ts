/**
 * Node's HTTP server with nothing around it. Once the head of the answer is out, one prebuilt buffer is written to the
 * socket below each response: `ServerResponse.write` would frame the chunk again for every stream. No heartbeat, no
 * history, and nothing holds back for a slow reader.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';

const topics = new Map<string, Set<Socket>>();
let lastId = 0;

const server = createServer((request, response) => {
  const [, route, topic = ''] = request.url?.split('/') ?? [];
  if (request.method === 'GET' && route === 'events') subscribe(response, topic);
  else if (request.method === 'POST' && route === 'publish') void publish(request, response, topic);
  else response.writeHead(404).end();
});
// As Fastify's default: a publisher that is quiet for five seconds keeps its connection.
server.keepAliveTimeout = 72_000;
server.listen(Number(process.env['PORT']), '127.0.0.1');

function subscribe(response: ServerResponse, topic: string): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  response.flushHeaders();
  const { socket } = response;
  if (socket === null) return;
  const sockets = topics.get(topic) ?? new Set();
  topics.set(topic, sockets.add(socket));
  response.once('close', () => {
    sockets.delete(socket);
    if (sockets.size === 0 && topics.get(topic) === sockets) topics.delete(topic);
  });
}

async function publish(request: IncomingMessage, response: ServerResponse, topic: string): Promise<void> {
  const data = await text(request);
  const frame = `id: ${++lastId}\ndata: ${data.replaceAll('\n', '\ndata: ')}\n\n`;
  const chunk = Buffer.from(`${Buffer.byteLength(frame).toString(16)}\r\n${frame}\r\n`);
  for (const socket of topics.get(topic) ?? []) socket.write(chunk);
  response.writeHead(201).end();
}
