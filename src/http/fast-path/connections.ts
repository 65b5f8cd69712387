import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { handOver } from '../handed-over.ts';
import type { HeldHeads } from '../held-heads.ts';
import { letGoOfIdle } from '../sockets/let-go.ts';
import { disown } from '../sockets/socket-owner.ts';
import { FastPathConnection } from './connection.ts';
import type { ConnectionHost, HandOver, OpenConnection } from './connection-host.ts';

export interface FastPathConnectionsOptions extends Pick<ConnectionHost, 'find' | 'admit' | 'limits' | 'parts'> {
  readonly server: Server;
  /** Counts incomplete heads on connections that the HTTP server gets. */
  readonly heads: HeldHeads;
}

/** All connections that the fast path owns: streams and the HTTP server own the others. */
export class FastPathConnections implements ConnectionHost {
  readonly find: ConnectionHost['find'];
  readonly admit: ConnectionHost['admit'];
  readonly limits: ConnectionHost['limits'];
  readonly parts: ConnectionHost['parts'];
  readonly #server: Server;
  readonly #heads: HeldHeads;
  readonly #serverListeners: readonly ((socket: Socket) => void)[];
  /** Closes the idle connections that the HTTP server has. */
  readonly #closeServersIdle: () => void;
  readonly #open = new Set<OpenConnection>();

  /** Takes the place of the server's listeners for connections. `closeIdleConnections` and `closeAllConnections` of the server then also close these. */
  constructor({ server, find, admit, limits, parts, heads }: FastPathConnectionsOptions) {
    this.find = find;
    this.admit = admit;
    this.limits = limits;
    this.parts = parts;
    this.#server = server;
    this.#heads = heads;
    this.#serverListeners = server.listeners('connection') as ((socket: Socket) => void)[];
    server.removeAllListeners('connection');
    server.on('connection', (socket) => void this.#open.add(new FastPathConnection(socket, this)));
    this.#closeServersIdle = server.closeIdleConnections.bind(server);
    server.closeIdleConnections = () => {
      for (const connection of this.#open) connection.endWhenIdle();
      this.#closeServersIdle();
    };
    const closeAll = server.closeAllConnections.bind(server);
    server.closeAllConnections = () => {
      for (const connection of this.#open) connection.destroy();
      closeAll();
    };
  }

  /**
   * Gives the connection to the HTTP server, which begins with the bytes that were read already. After the answer the connection comes back, if the
   * socket has read nothing after the request: then the server's parser is between two requests.
   */
  handOver(socket: Socket, { bytes, admission, length }: HandOver): void {
    disown(socket);
    // Where the request ends, in bytes read from the socket since its beginning. The bytes that `readableLength` counts come after `bytes`.
    const end = length === undefined ? undefined : socket.bytesRead - socket.readableLength - bytes.length + length;
    handOver(socket, { admission, ...(end === undefined ? {} : { takeBack: () => this.#takeBack(socket, end) }) });
    socket.setTimeout(0);
    socket.unshift(bytes);
    for (const listener of this.#serverListeners) listener.call(this.#server, socket);
    this.#heads.follow(socket);
    socket.resume();
  }

  /** Ends this number of idle connections, the oldest first. If there are fewer, the HTTP server ends its idle ones too. */
  endOldestIdle(count: number): void {
    let ended = 0;
    for (const connection of this.#open) {
      if (ended === count) return;
      if (!connection.isIdle) continue;
      connection.endWhenIdle();
      ended++;
    }
    if (ended < count) this.#closeServersIdle();
  }

  /** Owns the connection again, if the socket has read exactly `end` bytes: then nothing came after the request. */
  #takeBack(socket: Socket, end: number): void {
    if (socket.destroyed || !socket.writable || socket.readableEnded || socket.bytesRead !== end) return;
    letGoOfIdle(socket);
    this.#open.add(new FastPathConnection(socket, this, true));
  }

  refuse(socket: Socket, code: 'ERR_HTTP_REQUEST_TIMEOUT' | 'HPE_INVALID_EOF_STATE'): void {
    this.#server.emit('clientError', Object.assign(new Error('there is no whole request'), { code }), socket);
  }

  forget(connection: OpenConnection): void {
    this.#open.delete(connection);
  }
}
