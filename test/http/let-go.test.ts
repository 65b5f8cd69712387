import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Socket } from 'node:net';
import { t } from 'tap';
import { letGoOf, letGoOfIdle } from '../../src/http/sockets/let-go.ts';
import { collectGarbage } from '../support/garbage.ts';
import { listening } from '../support/listening.ts';
import { RawConnection, requestBytes } from '../support/raw.ts';
import type { Scope } from '../support/temp.ts';
import { openSpine } from './fast-path/spine.ts';
import { connectTo, serve, turns } from './fast-path/ways.ts';

/** What Node's HTTP server keeps of a connection: none of it may be left. These are names of its own, which a test may know. */
interface Kept {
  readonly parser?: object | null;
  readonly _httpMessage?: object | null;
}


const REQUEST = requestBytes('GET', '/', {});
const FOLLOWING = requestBytes('POST', '/next', {}, 'x');
/** Shorter than any that are used: what is left of them would be seen. Milliseconds. */
const LIMITS = { keepAliveTimeout: 100, headersTimeout: 100, requestTimeout: 200, connectionsCheckingInterval: 50 };

interface Gone {
  readonly server: Server;
  readonly port: number;
  /** The sockets that were let go of. */
  readonly sockets: Socket[];
  /** What came on them afterwards. Bytes. */
  received: () => number;
  /** What the server still held. */
  readonly left: WeakRef<object>[];
}

/** A server that lets go of each connection with its first request, before or after its answer. */
async function letting(t: Scope, when: 'instead of an answer' | 'after its answer'): Promise<Gone> {
  const sockets: Socket[] = [];
  const left: WeakRef<object>[] = [];
  let received = 0;
  // It keeps neither the request nor the response: what the test holds would be there for ever.
  const taken = (socket: Socket): void => {
    sockets.push(socket);
    socket.on('data', (bytes: Buffer) => void (received += bytes.length)).on('error', () => undefined).on('end', () => void socket.end());
  };
  const server = createServer(LIMITS, (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    if (sockets.includes(socket)) return;
    left.push(new WeakRef(request), new WeakRef(response));
    if (when === 'after its answer') {
      response.once('finish', () => void setImmediate(() => {
        letGoOfIdle(socket);
        taken(socket);
      }));
      response.end('answered');
      return;
    }
    request.destroy = () => request;
    void nextTurn().then(() => {
      letGoOf(response, socket);
      taken(socket);
    });
  });
  server.timeout = 100;
  const port = await listening(server);
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  return { server, port, sockets, received: () => received, left };
}

for (const when of ['instead of an answer', 'after its answer'] as const) {
  t.test(`of a connection that it lets go of ${when}, the HTTP server keeps nothing`, async (t) => {
    const { server, port, sockets, received, left } = await letting(t, when);
    const connections: RawConnection[] = [];
    for (let count = 0; count < 10; count++) {
      const connection = await RawConnection.open(t, { port });
      connection.send(REQUEST);
      connections.push(connection);
    }
    await turns('all were let go of', () => sockets.length === connections.length);
    for (const socket of sockets) {
      const { parser, _httpMessage: message } = socket as Socket & Kept;
      t.notOk(parser, 'no parser');
      t.notOk(message, 'no response');
      t.same(socket.eventNames().sort(), ['data', 'end', 'error'], 'no listener but those that were added');
      t.equal(socket.timeout, 0, 'no timer');
    }
    // What comes is read by whoever has the socket now.
    for (const connection of connections) connection.send(Buffer.alloc(100_000, FOLLOWING));
    await turns('it is read', () => received() === connections.length * 100_000);
    // Neither its timers nor its ways to close connections find them.
    await new Promise((resolve) => setTimeout(resolve, 2 * LIMITS.requestTimeout + LIMITS.connectionsCheckingInterval));
    server.closeIdleConnections();
    server.closeAllConnections();
    t.ok(sockets.every(({ destroyed, writable }) => !destroyed && writable), 'all are open');
    t.same(new Set(connections.map(({ text }) => text.split('\r\n\r\n')[1])), new Set([when === 'after its answer' ? 'answered' : undefined]), 'and nothing was written to them');
    await turns('requests and responses are gone', () => {
      collectGarbage();
      return left.every((one) => one.deref() === undefined);
    });
    sockets[0]!.write('hello');
    await connections[0]!.until('what is written', () => connections[0]!.text.endsWith('hello'));
    connections[1]!.end();
    connections[2]!.destroy();
    await turns('their ends are seen', () => sockets[1]!.destroyed && sockets[2]!.destroyed);
    const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  });
}

for (const mode of ['on', 'off']) {
  t.test(`nothing is left of the timer of a connection that has become a stream; fast path ${mode}`, async (t) => {
    const spine = await openSpine(t, { HTTP_FAST_PATH: mode });
    const { client, server } = await connectTo(t, await serve(t, spine.service));
    client.send(requestBytes('GET', '/topics/a/events', {}));
    await client.until('it has begun', () => client.text.includes('event: $open'));
    // Where Node keeps it: a version that has it elsewhere fails here.
    const timers = Object.getOwnPropertySymbols(server).filter(({ description }) => description === 'timeout');
    t.same(timers.map((timer): unknown => Reflect.get(server, timer)), [null]);
  });
}
