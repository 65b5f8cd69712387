import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { Identity } from '../../access/credentials/identity.ts';
import type { Lease } from '../../access/leases/lease.ts';
import { Problem } from '../../model/problem.ts';
import { Hold, type Budget } from '../../runtime/sharing/budget.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';
import { ownText } from '../../runtime/memory.ts';
import type { AdmissionPolicy } from '../admission/admission.ts';
import { EventStream, type Beginning } from '../event-stream.ts';
import { holderOf } from '../admission/holder.ts';
import { problemOf } from '../output/problem-response.ts';
import { publishOne } from '../publish-one.ts';
import type { Service } from '../service.ts';
import { answerFrame, errorFrame } from './answer-frames.ts';
import { headOf, parseFrame, readFrame, type ClientFrame, type HandshakeHeaders, type ParsedFrame } from './client-frame.ts';

/** How many frames of a client may be unanswered. Stops one connection from queueing requests, or answers that its client does not read. */
const SOCKET_MAX_REQUESTS = 32;

/** How many frames in a row may be malformed. Stops a client that repeats a mistake, which costs the service a parse each time. */
const MALFORMED_MAX_REQUESTS = 20;

/** The first bytes of an incomplete frame are not counted. So small frames, which usually come whole, cost no count. */
const PART_FREE_BYTES = 4 * 1024;

/** The head of a ping from a client: two bytes, and four of its mask. */
const CONTROL_HEAD_BYTES = 6;

/** RFC 6455, section 7.4.1, and IANA's registry. */
const CLOSE = { policy: 1008, later: 1013 } as const;

/** The parts that a stream begins with; the handshake was its head. */
export interface SocketBeginning extends Omit<Beginning, 'head'> {
  /** Whether its topics may be patterns. */
  readonly takesPatterns: boolean;
}

/** Names of frames in log lines. */
let frames = 0;

/** A WebSocket that calls `ending` before it sends a close frame, after which nothing else may be sent. */
export class StreamSocket extends WebSocket {
  /** Called once before a close frame is sent. Returns whether one was sent already. */
  ending: (() => boolean) | undefined;

  override close(code?: number, reason?: string | Buffer): void {
    const { ending } = this;
    this.ending = undefined;
    if (ending?.() !== true) super.close(code, reason);
  }
}

export interface SocketConnectionOptions {
  readonly webSocket: StreamSocket;
  readonly socket: Socket;
  readonly service: Service;
  readonly policy: AdmissionPolicy;
  readonly parts: Budget;
}

/**
 * An open WebSocket: its stream, and the requests in its client's frames. Of the handshake it keeps only the sender and three headers, so that the request itself can be freed.
 */
export class SocketConnection {
  readonly #webSocket: StreamSocket;
  readonly #socket: Socket;
  readonly #service: Service;
  readonly #policy: AdmissionPolicy;
  readonly #parts: Budget;
  readonly #stream: EventStream;
  #identity!: Identity;
  #address = '';
  #holder!: Holder;
  #headers: HandshakeHeaders = {};
  #takesPatterns = true;
  /** The stream's lease after the handshake, or after its last change of topics. If the stream has another one, a renewal has changed its credential. */
  #lease: Lease | undefined;
  /** The number of unanswered frames. `#answers` are those of their answers for which the socket had no room. */
  #unanswered = 0;
  #answers: Buffer[] = [];
  #malformed = 0;
  /** Bytes that came after the last whole message. */
  #partBytes = 0;
  #partHold: Hold | undefined;

  constructor({ webSocket, socket, service, policy, parts }: SocketConnectionOptions) {
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.#service = service;
    this.#policy = policy;
    this.#parts = parts;
    this.#stream = new EventStream(socket, service);
  }

  begin(beginning: SocketBeginning, headers: IncomingHttpHeaders): void {
    const { admission } = beginning;
    this.#identity = admission.identity;
    this.#address = ownText(admission.clientAddress());
    this.#holder = admission.holder();
    this.#headers = { host: headers.host, origin: headers.origin, 'sec-fetch-site': headers['sec-fetch-site'] };
    this.#takesPatterns = beginning.takesPatterns;
    this.#webSocket.ending = () => this.#ending();
    this.#webSocket.on('error', lost);
    this.#socket.on('drain', () => this.#drained()).once('close', () => this.#stream.closed());
    if (!this.#stream.begin({ ...beginning, head: '' })) return;
    this.#service.counters.sockets.opened++;
    this.#lease = this.#stream.lease;
    this.#webSocket
      .on('message', (data: Buffer, isBinary: boolean) => this.#received(data, isBinary))
      .on('ping', (data: Buffer) => this.#pinged(data))
      .on('pong', (data: Buffer) => this.#passed(data));
    // Before the listeners of the library, which read the bytes, and answer an end.
    this.#socket.prependListener('data', (bytes: Buffer) => this.#count(bytes.length));
    this.#socket.prependListener('end', () => this.#stream.closed());
    this.#socket.once('close', () => {
      this.#partHold?.release();
      this.#service.counters.sockets.closed++;
    });
  }

  /** Ends the stream before a close frame is sent, so that nothing is written after it. Returns whether the stream has already sent one. */
  #ending(): boolean {
    const wasDismissed = this.#stream.isOver;
    this.#stream.closed();
    if (wasDismissed) this.#socket.end();
    return wasDismissed;
  }

  /** Counts the memory of an incomplete frame, and closes the WebSocket if there is no room for it. */
  #count(bytes: number): void {
    this.#stream.heard();
    this.#partBytes += bytes;
    if (this.#partBytes <= PART_FREE_BYTES) return;
    if (this.#partHold === undefined) {
      this.#partHold = new Hold(this.#parts, this.#holder);
      this.#partHold.loosen({ takeBack: () => this.#refusePart() });
    }
    if (!this.#partHold.grow(this.#partBytes - this.#partHold.bytes)) this.#refusePart();
  }

  #refusePart(): void {
    this.#webSocket.close(CLOSE.later, 'overloaded: there is no memory for a frame of this size now');
  }

  /** Subtracts a control frame, which may come between the parts of a message. */
  #passed(data: Buffer): void {
    this.#partBytes = Math.max(0, this.#partBytes - CONTROL_HEAD_BYTES - data.length);
  }

  #pinged(data: Buffer): void {
    this.#passed(data);
    // RFC 6455, section 5.5.3: only the newest ping needs an answer. Without room in the socket, send none: pongs must not queue.
    if (!this.#stream.isOver && !this.#socket.writableNeedDrain) this.#webSocket.pong(data);
  }

  #received(data: Buffer, isBinary: boolean): void {
    this.#partBytes = 0;
    this.#partHold?.release();
    this.#partHold = undefined;
    if (this.#stream.isOver) return;
    if (this.#unanswered >= SOCKET_MAX_REQUESTS) {
      this.#webSocket.close(CLOSE.policy, `more than ${SOCKET_MAX_REQUESTS} frames are without an answer`);
      return;
    }
    this.#unanswered++;
    void this.#answerTo(data, isBinary).then((frame) => this.#answer(frame));
  }

  /** The answer to the client; never rejects. */
  async #answerTo(data: Buffer, isBinary: boolean): Promise<Buffer> {
    let parsed: ParsedFrame | undefined;
    try {
      parsed = parseFrame(data, isBinary);
      const frame = readFrame(parsed, { config: this.#service.config, scope: this.#identity.scope, takesPatterns: this.#takesPatterns });
      this.#malformed = 0;
      return await this.#carriedOut(frame);
    } catch (error) {
      const problem = problemOf(error, this.#service.logger, () => `frame-${++frames}`);
      this.#service.counters.sockets.refused++;
      if (problem.status === 400) this.#malformed++;
      return errorFrame(parsed?.request, problem);
    }
  }

  async #carriedOut(frame: ClientFrame): Promise<Buffer> {
    // A renewal has changed the credential. `#identity` is that of the handshake, so its rights no longer count.
    if (this.#stream.lease !== this.#lease) throw new Problem('invalid-credential', 'The stream has another credential than its handshake. Publish and change topics by HTTP, or open another WebSocket with the new credential.', { field: 'Authorization' });
    const admission = await this.#policy.admitFrame(headOf(frame, this.#headers), { identity: this.#identity, address: () => this.#address, peer: this.#socket });
    if (admission.outcome.kind === 'refused') throw admission.outcome.error;
    if (this.#stream.isOver) throw new Problem('unavailable', 'The stream has ended.');
    if (frame.kind === 'publish') {
      this.#service.counters.sockets.publishes++;
      const { json, replayed } = await publishOne(this.#service, admission, frame.draft, frame.key, { wantsReport: frame.wantsReport, requestId: () => `frame-${++frames}` });
      return answerFrame(frame.request, json, replayed);
    }
    const { id, secret } = this.#stream.handle!;
    const changed = await this.#service.fleet.changeTopics(id, secret, frame.change, this.#identity, holderOf(this.#identity, () => this.#address, this.#socket));
    this.#lease = this.#stream.lease;
    this.#service.counters.topicsChanged++;
    return answerFrame(frame.request, JSON.stringify(changed), false);
  }

  #answer(frame: Buffer): void {
    if (this.#stream.isOver) return;
    this.#answers.push(frame);
    this.#sendAnswers();
    if (this.#malformed >= MALFORMED_MAX_REQUESTS) this.#webSocket.close(CLOSE.policy, `${MALFORMED_MAX_REQUESTS} frames in a row were malformed`);
  }

  /** Sends answers while the socket has room. Backpressure: while answers wait, it reads no further frames. */
  #sendAnswers(): void {
    while (this.#answers.length > 0 && this.#stream.tell(this.#answers[0]!)) {
      this.#answers.shift();
      this.#unanswered--;
    }
    if (this.#answers.length > 0) this.#webSocket.pause();
    else if (this.#webSocket.isPaused) this.#webSocket.resume();
  }

  #drained(): void {
    this.#stream.drained();
    if (this.#answers.length > 0) this.#sendAnswers();
  }
}

function lost(): void {
  // The library has said why in its close frame, or the connection is lost.
}
