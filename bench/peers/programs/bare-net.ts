/**
 * Node's sockets and nothing else: what is possible with one write per event. HTTP is made by hand, as much of it as
 * curl and the load need; one buffer, a chunk with the SSE frame, is written to every socket of a topic. No heartbeat,
 * no history, and nothing holds back for a slow reader.
 */
import { createServer, type Socket } from 'node:net';

const HEAD = Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n');
const CREATED = Buffer.from('HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n');
const NOT_FOUND = Buffer.from('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
const BLANK_LINE = Buffer.from('\r\n\r\n');

const topics = new Map<string, Set<Socket>>();
let lastId = 0;

createServer({ noDelay: true }, (socket) => {
  let held: Buffer | undefined;
  socket.on('data', (chunk) => {
    held = held === undefined ? chunk : Buffer.concat([held, chunk]);
    while (held !== undefined) {
      const used = answer(socket, held);
      if (used === 0) return;
      held = used < held.length ? held.subarray(used) : undefined;
    }
  });
  // Whoever leaves is taken out when the socket closes; a reset is one way to leave.
  socket.on('error', () => socket.destroy());
}).listen(Number(process.env['PORT']), '127.0.0.1');

/** Answers the first request of what was received, and says how long that was; 0 when it is not all there. */
function answer(socket: Socket, received: Buffer): number {
  const blank = received.indexOf(BLANK_LINE);
  if (blank === -1) return 0;
  const head = received.toString('latin1', 0, blank);
  const bodyAt = blank + BLANK_LINE.length;
  const [, method, route, topic = ''] = /^(GET|POST) \/(events|publish)\/(\S+) /.exec(head) ?? [];
  if (method === 'GET' && route === 'events') {
    subscribe(socket, topic);
    return bodyAt;
  }
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  if (received.length < bodyAt + length) return 0;
  if (method === 'POST' && route === 'publish') {
    publish(topic, received.toString('utf8', bodyAt, bodyAt + length));
    socket.write(CREATED);
  } else {
    socket.end(NOT_FOUND);
  }
  return bodyAt + length;
}

function subscribe(socket: Socket, topic: string): void {
  const sockets = topics.get(topic) ?? new Set();
  topics.set(topic, sockets.add(socket));
  socket.once('close', () => {
    sockets.delete(socket);
    if (sockets.size === 0 && topics.get(topic) === sockets) topics.delete(topic);
  });
  socket.write(HEAD);
}

function publish(topic: string, data: string): void {
  const frame = `id: ${++lastId}\ndata: ${data.replaceAll('\n', '\ndata: ')}\n\n`;
  const chunk = Buffer.from(`${Buffer.byteLength(frame).toString(16)}\r\n${frame}\r\n`);
  for (const socket of topics.get(topic) ?? []) socket.write(chunk);
}
