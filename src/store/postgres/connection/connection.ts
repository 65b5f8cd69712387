import { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import pg from 'pg';
import { guardSocket } from '../../../runtime/sockets/guarded-socket.ts';
import { answerFraming } from './answer-framing.ts';

/** A server that answers nothing for this long, though its own limits are shorter, has vanished: the `PgConnection` is cut. */
const ANSWER_MS = 12_000;
/** More time for an answer that lies in the socket already: this process itself may have been stopped meanwhile. */
const ANSWER_GRACE_MS = 500;

/** A row as text, column by column. */
export type Row = readonly (string | null)[];

/** Text stays text: the caller knows what the columns are. */
const types: pg.CustomTypesConfig = { getTypeParser: () => (value: string) => value };

export interface PgConnectionConfig extends pg.ClientConfig {
  /** How long an answer may take; `ANSWER_MS` if absent. Infinity for work without a bound. */
  readonly answerMs?: number;
}

/** A connection to the server, which ends when the server falls silent, or says what no server may. */
export class PgConnection extends pg.Client {
  readonly #socket: Socket;
  readonly #answerMs: number;
  #unanswered = 0;
  #patience: NodeJS.Timeout | undefined;

  constructor({ answerMs = ANSWER_MS, ...config }: PgConnectionConfig = {}) {
    const socket = new Socket();
    super({ ...config, stream: () => socket });
    this.#socket = socket;
    this.#answerMs = answerMs;
    // With TLS, pg reads another stream than the socket, and tells when it exists. The one byte before that is no message.
    if (this.ssl) this.connection.once('sslconnect', () => guardSocket(this.connection.stream as TLSSocket, answerFraming()));
    else guardSocket(socket, answerFraming());
    // Each `ask` under way rejects with the error. Without a listener, Node would also end the process. pg itself leaves the socket open.
    this.on('error', () => this.destroy());
  }

  override connect(): Promise<pg.Client>;
  override connect(callback: (error: Error | null) => void): void;
  /** pg forgets a connection that could not be set up: the socket would be open until the server closes it. */
  override connect(callback?: (error: Error | null) => void): Promise<pg.Client> | undefined {
    const failed = (error: unknown): never => {
      this.destroy();
      throw error;
    };
    if (callback === undefined) return super.connect().catch(failed);
    super.connect((error: Error | null) => {
      if (error !== null) this.destroy();
      callback(error);
    });
    return undefined;
  }

  /** Ends it at once, in every state of the server. Each `ask` under way rejects. */
  destroy(): void {
    this.connection.stream.destroy();
  }

  /** Sends SQL in one message, which is one transaction unless it says otherwise, and returns the rows of its last statement. */
  async ask(text: string): Promise<readonly Row[]> {
    this.#unanswered += 1;
    if (this.#unanswered === 1) this.#wait();
    try {
      const result: pg.QueryArrayResult<string[]> | readonly pg.QueryArrayResult<string[]>[] = await this.query<string[]>({ text, rowMode: 'array', types });
      return Array.isArray(result) ? result.at(-1)!.rows : result.rows;
    } finally {
      this.#unanswered -= 1;
      clearTimeout(this.#patience);
      if (this.#unanswered > 0) this.#wait();
    }
  }

  #wait(): void {
    if (this.#answerMs === Infinity) return;
    this.#patience = setTimeout(() => {
      this.#patience = setTimeout(() => this.#socket.destroy(new Error(`the server did not answer for ${this.#answerMs / 1000} s`)), ANSWER_GRACE_MS);
    }, this.#answerMs);
  }
}
