import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import type { Budget } from '../../runtime/sharing/budget.ts';
import type { AdmissionPolicy } from '../admission/admission.ts';
import type { HeldHeads } from '../held-heads.ts';
import { STANDSTILL_MAX_MS } from '../admission/server-limits.ts';
import type { App, Service } from '../service.ts';
import { isClaimed } from '../sockets/takeover.ts';
import { asksForWebSocket } from '../admission/upgrade.ts';
import { SocketConnection, StreamSocket, type SocketBeginning } from './connection.ts';

/**
 * Streams as WebSockets. The door admits a handshake as any other request (`admit`), and the route of its path reads it. A refused one gets an ordinary answer.
 * Otherwise `ws` answers it, and reads what the client sends. The reader of the stream writes to the same socket.
 *
 * This file brings handshakes to the door. connection.ts is one open WebSocket, client-frame.ts what a client may ask on it.
 */

/** The most bytes of a frame besides the data of a message: its other members, and JSON's escapes. Bytes. */
const FRAME_BESIDES_BYTES = 64 * 1024;

/** In how many frames a message may come. Stops a client from holding memory with frames that hold next to nothing. */
const MESSAGE_MAX_ENTRIES = 128;

/** How long the pieces of a frame must be on average, as they come over the network; a short frame may come in some more. Stops single bytes, each an object, from filling the memory. */
const PIECE_MIN_BYTES = 256;
const PIECES_MIN_ENTRIES = 64;

/** How long a client has to answer a close frame. Stops clients that do not from holding a connection. */
const CLOSE_ANSWER_MAX_MS = 2_000;

/** Paths of streams. Other requests stay with the HTTP server, and the router decides about these. */
const STREAM_PATH = /^(?:[a-z]+:\/\/[^/?]*)?\/(?:topics\/[^/?]+\/)?events(?:\?|$)/i;

/** A handshake that was not answered yet. */
export interface Upgrade {
  /** Answers it, and begins the stream. */
  begin(beginning: SocketBeginning): void;
}

const upgrades = new WeakMap<IncomingMessage, Upgrade>();

/** The handshake of a request; undefined if it is no handshake. */
export function upgradeOf(request: IncomingMessage): Upgrade | undefined {
  return upgrades.get(request);
}

export interface WebSocketsOptions {
  readonly service: Service;
  readonly policy: AdmissionPolicy;
  /** For frames that have come in part. */
  readonly parts: Budget;
  /** Counts the bytes on connections that are no WebSockets. */
  readonly heads: Pick<HeldHeads, 'leave'>;
}

type UpgradingSocket = Socket & { readonly _httpMessage?: ServerResponse | null };

/** Whether Node hands over the connection of a request. A request that follows an unanswered one is served as if it did not ask for an upgrade. So is one that follows a stream. */
export function shouldUpgrade(request: IncomingMessage): boolean {
  const socket = request.socket as UpgradingSocket;
  return asksForWebSocket(request as IncomingMessage & { readonly method: string }) && STREAM_PATH.test(request.url ?? '') && !isClaimed(socket) && (socket._httpMessage ?? null) === null;
}

/** Lets a server take handshakes. */
export function addWebSockets(app: App, { service, policy, parts, heads }: WebSocketsOptions): void {
  // Before Node 24.9 a server that listens for upgrades gets all of them, and could not give the others back.
  if (!('shouldUpgradeCallback' in app.server)) return;
  const maxPayload = service.config.MESSAGE_BYTES + FRAME_BESIDES_BYTES;
  // Its types do not know all of its options.
  const bounds = { maxPayload, closeTimeout: CLOSE_ANSWER_MAX_MS, maxFragments: MESSAGE_MAX_ENTRIES, maxBufferedChunks: PIECES_MIN_ENTRIES + Math.ceil(maxPayload / PIECE_MIN_BYTES) };
  const sockets = new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false, autoPong: false, WebSocket: StreamSocket, ...bounds });
  app.server.on('upgrade', (request: IncomingMessage, socket: Socket, first: Buffer) => {
    heads.leave(socket);
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    // The server has let go of the connection: nobody else ends it.
    response.once('finish', () => socket.destroySoon());
    socket.on('error', lost).on('timeout', timedOut).setTimeout(STANDSTILL_MAX_MS);
    upgrades.set(request, {
      begin: (beginning) => {
        response.detachSocket(socket);
        let hasBegun = false;
        if (socket.readable && socket.writable) {
          sockets.handleUpgrade(request, socket, first, (webSocket) => {
            hasBegun = true;
            new SocketConnection({ webSocket, socket, service, policy, parts }).begin(beginning, request.headers);
          });
        } else socket.destroy();
        if (!hasBegun && typeof beginning.start !== 'string') beginning.start.place.release();
      },
    });
    app.routing(request, response);
  });
}

/** A closure would keep the request in memory until the socket closes. */
function timedOut(this: Socket): void {
  this.destroy();
}

function lost(): void {
  // The connection is lost; its end says the rest.
}
