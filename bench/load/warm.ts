import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { Streams } from './streams.ts';

/** After so many streams, opening one costs half of what the first cost, and not much less from then on. */
const ROUNDS = 4;
const STREAMS = 1500;

const EVENT = 'event: $open\nretry: 1000\ndata: {"cursor":"warm-0"}\nid: warm-0\n\n';
const ANSWER = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n${EVENT.length.toString(16)}\r\n${EVENT}\r\n`);

/**
 * Opens streams to a server of its own and closes them, so that the code is compiled before anything is measured: what a cold load process
 * needs to open ten thousand streams would be counted as the server's time. Takes one to three seconds.
 */
export async function warm(): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () => socket.write(ANSWER));
  });
  server.listen({ port: 0, host: '127.0.0.1', backlog: STREAMS });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const streams = new Streams(() => undefined, () => undefined);
  for (let round = 0; round < ROUNDS; round++) {
    await streams.open({ wire: 'tidings', ports: [port], topics: 'warm' }, { first: 0, step: 1, count: STREAMS });
    streams.close();
  }
  server.close();
  await once(server, 'close');
}
