import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { buildApp } from '../../../src/http/app.ts';
import { RULES } from '../../../src/http/admission/admission.ts';
import type { Rule } from '../../../src/http/admission/rule.ts';
import type { App, Service } from '../../../src/http/service.ts';
import { RawConnection } from '../../support/raw.ts';
import type { Scope } from '../../support/temp.ts';

/** Stops a wait for what never happens from hanging the run. Milliseconds. */
const WAIT_LIMIT = 120_000;

/** An instance's HTTP side on a free port, and what a test can see of the path that requests took. */
export interface Served {
  readonly app: App;
  readonly port: number;
  /** How many requests the HTTP server was given: all but those that took the fast path. */
  readonly ordinary: () => number;
  /** The server's ends of all connections, in the order in which they were accepted. */
  readonly sockets: readonly Socket[];
}

/**
 * @param fastPath Whether it has the fast path; without it every request takes the ordinary path.
 * @param rules The door policy.
 */
export async function serve(t: Scope, service: Service, { fastPath = true, rules = RULES, prepare = (): void => undefined }: { fastPath?: boolean; rules?: readonly Rule[]; prepare?: (app: App) => void } = {}): Promise<Served> {
  const app = buildApp(service, rules);
  prepare(app);
  if (!fastPath) app.server.removeAllListeners('connection').on('connection', createServer().listeners('connection')[0] as (socket: Socket) => void);
  const sockets: Socket[] = [];
  let ordinary = 0;
  app.server.on('connection', (socket) => void sockets.push(socket)).on('request', () => void ordinary++);
  await app.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(async () => {
    const closed = app.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return { app, port: (app.server.address() as AddressInfo).port, ordinary: () => ordinary, sockets };
}

/** A connection with both of its ends. */
export interface Pair {
  readonly client: RawConnection;
  readonly server: Socket;
}

export async function connectTo(t: Scope, served: Pick<Served, 'port' | 'sockets'>): Promise<Pair> {
  const before = served.sockets.length;
  const client = await RawConnection.open(t, served);
  await turns('the connection is accepted', () => served.sockets.length > before);
  return { client, server: served.sockets.at(-1)! };
}

/** Sends bytes in pieces, each only when the server has read the one before: so none is read together with the next. */
export async function sendApart({ client, server }: Pair, ...pieces: readonly Uint8Array[]): Promise<void> {
  let sent = server.bytesRead;
  for (const piece of pieces) {
    client.send(piece);
    sent += piece.length;
    await turns('the piece is read', () => server.destroyed || server.bytesRead >= sent);
  }
}

/** Waits, turn by turn of the event loop, for what no event tells of. `found` is for the failure: what there is instead. */
export async function turns(what: string, holds: () => boolean, found = (): string => ''): Promise<void> {
  const limit = performance.now() + WAIT_LIMIT;
  while (!holds()) {
    if (performance.now() > limit) throw new Error(`Not in time: ${what}. ${found()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
