/** What the parts of the benchmark agree on. */

/**
 * How a peer's clients talk to it. The load process has one implementation of each; names cross the process boundary, not code.
 *
 * | name | a stream | a publish |
 * |---|---|---|
 * | `tidings` | `GET /topics/<topic>/events` | `POST /topics/<topic>`: 201 |
 * | `tidings-websocket` | the same with an upgrade to WebSocket | `POST /topics/<topic>`: 201 |
 * | `nchan` | `GET /sub/<topic>`; the body is not chunked, it ends with the connection | `POST /pub/<topic>`: 201, or 202 while nobody listens |
 * | `sse` | `GET /events/<topic>` | `POST /publish/<topic>`: 201 |
 * | `socket.io` | Socket.IO over WebSocket; the client emits `join` with the topic and an acknowledgement, and gets the event `message` with the body as a string | `POST /publish/<topic>`: 201 |
 *
 * The body of a publish is the event's data, text as it is. Streams are asked for with `Accept: text/event-stream`.
 */
export type WireName = 'tidings' | 'tidings-websocket' | 'nchan' | 'sse' | 'socket.io';

/** A server under test, started fresh: every process of it, Redis and PostgreSQL included where it uses them. */
export interface Server {
  readonly wire: WireName;
  /** On 127.0.0.1; one for each instance. */
  readonly ports: readonly number[];
  /** All processes of it that are running now. */
  readonly pids: readonly number[];
  /** The same, by what they are; absent where nobody asks. */
  readonly parts?: { readonly instances: readonly number[]; readonly redis: readonly number[]; readonly postgres: readonly number[] };
  /** Where its Redis is; absent where it has none. */
  readonly redisPort?: number;
  /** Where the peer says something about itself that a scenario wants: an event-loop delay, for example. undefined where there is nothing. */
  readonly metricsPath?: string;
  /** Kills the instance with SIGKILL and starts it again on the same port and the same data. */
  restart?(instance: number): Promise<void>;
  /** As a deploy does it: ends the instance with SIGTERM, waits until it is gone, and starts it again, on the same port and the same data. */
  replace?(instance: number, limitMs: number): Promise<void>;
  stop(): Promise<void>;
}

export interface ServerOptions {
  /** How many instances share the log or the Redis; 1 if absent. */
  readonly instances?: number;
  /** Each instance of the service under test has a log of its own, and they share nothing. */
  readonly apart?: boolean;
  /** With Redis between the instances; as the peer's default if absent. */
  readonly redis?: boolean;
  /** With NATS between the instances of the service under test. */
  readonly nats?: boolean;
  /** With Kafka between the instances of the service under test. */
  readonly kafka?: boolean;
  /** Streams of the service under test are WebSockets. */
  readonly websocket?: boolean;
  /** The service under test keeps its log in a PostgreSQL of its own, made empty; in a file if absent. */
  readonly postgres?: boolean;
  /** How long a question to that PostgreSQL and its answer are under way, in milliseconds; no longer than loopback takes if absent. */
  readonly postgresDistanceMs?: number;
  /** Settings of the service under test, beyond those that the peer sets itself. */
  readonly env?: Readonly<Record<string, string>>;
  /** A command that the server is started by: a slow disk, a profiler. */
  readonly by?: readonly string[];
  /** A folder for CPU profiles of the service under test: one of each thread, written when it ends. */
  readonly profile?: string;
  /** A folder with data of an earlier server; a new one if absent. */
  readonly folder?: string;
}

export interface Peer {
  /** As the tables call it, and as it is named on the command line. */
  readonly name: string;
  /** One sentence for the report: what it is, and how it is set up. */
  readonly about?: string;
  readonly durable: boolean;
  readonly versions: () => Promise<Readonly<Record<string, string>>>;
  /** Why it cannot run here, with the line that installs it; undefined where it can. */
  missing(): string | undefined;
  start(options?: ServerOptions): Promise<Server>;
}

/** CPU seconds, resident memory and proportional set size of all processes of a server, at one moment. */
export interface Usage {
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  readonly pssBytes: number;
}

/** Of values in milliseconds. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** What a load process found out. Times count from the scheduled moment of a publish, not from when it could be sent. */
export interface Delivery {
  /** Publishes that were due, that were answered with success, and that failed. */
  readonly scheduled: number;
  readonly accepted: number;
  readonly refused: number;
  /** Over all streams. What is expected is the sum of what each stream asked for. */
  readonly expected: number;
  readonly delivered: number;
  readonly lost: number;
  readonly doubled: number;
  readonly reordered: number;
  /** From the scheduled publish to the parsed event. */
  readonly latency: Percentiles;
  /** From the scheduled publish to its answer. */
  readonly answer: Percentiles;
  /** From the first scheduled publish to the last delivery. */
  readonly seconds: number;
  /** CPU time of all load processes by that time: near 1, the figure is the load's limit and not the server's, as it has one core of two. */
  readonly busy: number;
}
