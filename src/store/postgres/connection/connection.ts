import { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import pg from 'pg';
import { guardSocket } from '../../../runtime/sockets/guarded-socket.ts';
import { answerFraming } from './answer-framing.ts';

/** After this long without an answer the server has vanished, because its own limits (transaction-settings.ts) are shorter. The connection is destroyed then. */
const ANSWER_MS = 12_000;
/** Extra time for an answer that has come but was not read yet. If this process itself was stopped for seconds, its timers fire before it reads answers. */
const ANSWER_GRACE_MS = 500;

/** A row: the text of each column, or null. */
export type Row = readonly (string | null)[];

/** Leaves all values as text. The caller converts them, because it knows its columns. */
const types: pg.CustomTypesConfig = { getTypeParser: () => (value: string) => value };

/** Sends SQL over one connection, as `PgConnection.ask`. */
export type Ask = (text: string) => Promise<readonly Row[]>;

export interface PgConnectionConfig extends pg.ClientConfig {
  /** How long an answer may take; `ANSWER_MS` if absent. Infinity: without a bound. */
  readonly answerMs?: number;
}

/** A connection to the server. It ends if the server falls silent, or sends bytes that are no valid answer (answer-framing.ts). */
export class PgConnection extends pg.Client {
  readonly #socket: Socket;
  readonly #answerMs: number;
  /** How many calls of `ask` have no answer yet. */
  #unanswered = 0;
  #patience: NodeJS.Timeout | undefined;

  constructor({ answerMs = ANSWER_MS, ...config }: PgConnectionConfig = {}) {
    const socket = new Socket();
    super({ ...config, stream: () => socket });
    this.#socket = socket;
    this.#answerMs = answerMs;
    // With TLS, pg reads the decrypted stream, which exists at the event `sslconnect`. Before that, the server sends a single byte, which is no message.
    if (this.ssl) this.connection.once('sslconnect', () => guardSocket(this.connection.stream as TLSSocket, answerFraming()));
    else guardSocket(socket, answerFraming());
    // pg rejects each `ask` under way, but leaves the socket open. Without this listener, Node would end the process.
    this.on('error', () => this.destroy());
  }

  override connect(): Promise<pg.Client>;
  override connect(callback: (error: Error | null) => void): void;
  /** Also destroys the socket if the connection cannot be set up. pg would leave it open until the server closes it. */
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

  /** Ends the connection at once, without waiting for the server. Each `ask` under way rejects. */
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

  /** Starts the timeout of the next answer. */
  #wait(): void {
    if (this.#answerMs === Infinity) return;
    this.#patience = setTimeout(() => {
      this.#patience = setTimeout(() => this.#socket.destroy(new Error(`the server did not answer for ${this.#answerMs / 1000} s`)), ANSWER_GRACE_MS);
    }, this.#answerMs);
  }
}
