import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import type { Config } from './config/config.ts';
import { isKafkaUrl } from './config/kafka-url.ts';
import { closeQueues, openQueues, sharedPort } from './http/sockets/accept-queues.ts';
import type { App } from './http/service.ts';
import { cannotListen } from './runtime/sockets/cannot-listen.ts';
import type { Worker } from './workers/worker.ts';

/** The most connections that wait to be accepted; the system may allow fewer. When thousands of clients come back at once, Node's default of 511 would delay the others by a second. */
const BACKLOG_CONNECTIONS = 4_096;

/** The HTTP side of an instance. */
export interface Served {
  readonly app: App;
  /** The listener for operations; undefined without `OPS_PORT`. */
  readonly operations: Server | undefined;
}

export interface ListenersDependencies {
  readonly served: Served;
  readonly config: Config;
  readonly logger: Pick<Logger, 'info'>;
  /** This process's side of the supervisor, if it is one of several workers. */
  readonly worker: Pick<Worker, 'place' | 'tellAccepting'> | undefined;
}

/** The ports of an instance: one for clients, one for operations. If it cannot listen on a port, it names the setting and ends the process. Several workers share each port. */
export class Listeners {
  readonly #served: Served;
  readonly #config: Config;
  readonly #logger: ListenersDependencies['logger'];
  readonly #worker: ListenersDependencies['worker'];

  constructor({ served, config, logger, worker }: ListenersDependencies) {
    this.#served = served;
    this.#config = config;
    this.#logger = logger;
    this.#worker = worker;
  }

  async listenForOperations(): Promise<void> {
    const { app, operations } = this.#served;
    if (operations === undefined) return;
    const { OPS_HOST: host, OPS_PORT: port = 0 } = this.#config;
    await app.ready();
    try {
      operations.listen({ host, port, ...this.#sharing });
      await once(operations, 'listening');
    } catch (error) {
      process.stderr.write(`${cannotListen(host, port, error, 'OPS_')}\n`);
      process.exit(1);
    }
    this.#worker?.tellAccepting('operations');
    this.#logger.info(`operations are answered at ${urlOf(host, operations)}`);
  }

  /** @param isOpening Whether the log is still being opened, for the log line. */
  async listen(isOpening: () => boolean): Promise<void> {
    const { app } = this.#served;
    const { HOST: host, PORT: port } = this.#config;
    try {
      const listening = {
        ...this.#worker === undefined ? await sharedPort(host, port) : { host, port, ...this.#sharing },
        backlog: BACKLOG_CONNECTIONS,
        listenTextResolver: (address: string) => `HTTP answers at ${address}${isOpening() ? '; the log is being opened' : ''}`,
      };
      await app.listen(listening);
      if (listening.reusePort === true) await openQueues(app.server, BACKLOG_CONNECTIONS);
    } catch (error) {
      process.stderr.write(`${cannotListen(host, port, error, '')}\n`);
      process.exit(1);
    }
    this.#worker?.tellAccepting('main');
  }

  /** The text that an operator reads first. `isOpen`: requests need no credential. */
  greeting({ databaseName, isOpen }: { readonly databaseName: string; readonly isOpen: boolean }): string {
    const { HOST, PAGE, REDIS_URL, BUS_URL } = this.#config;
    const url = urlOf(HOST, this.#served.app.server);
    const server = REDIS_URL !== undefined ? 'Redis' : BUS_URL === undefined ? undefined : isKafkaUrl(BUS_URL) ? 'Kafka' : 'NATS';
    return [
      `Tidings listens on ${url}`,
      `Its messages are in ${databaseName}${server === undefined ? '' : `; other instances are told through ${server}`}`,
      ...(isOpen
        ? [
            this.#config.AUTH === 'off'
              ? 'Everybody who reaches this address may publish and read: AUTH=off, and keys are not looked at'
              : 'Everybody who reaches this address may publish and read; the first key ends that: npx tidings keys create --help',
            PAGE === 'on' ? 'Try it, in a browser at that address, or:' : 'Try it:',
            `  curl -N ${url}/topics/hello/events`,
            `  curl -d 'Hello, world' ${url}/topics/hello`,
          ]
        : ['Publishing and reading take a key or token, except for what PUBLIC_TOPICS and PUBLIC_PUBLISH name; for a key: npx tidings keys create --help']),
      '',
    ].join('\n');
  }

  /** Stops accepting clients. Resolves when all open connections of clients have ended. */
  async close(): Promise<void> {
    const { app } = this.#served;
    await Promise.all([app.close(), closeQueues(app.server)]);
  }

  closeAllConnections(): void {
    this.#served.app.server.closeAllConnections();
  }

  /** Called last: operations are answered until the end. */
  closeOperations(): void {
    this.#served.operations?.close();
    this.#served.operations?.closeAllConnections();
  }

  /** With several workers, the kernel spreads the connections of a shared port. */
  get #sharing(): { readonly reusePort?: boolean } {
    return this.#worker?.place.sharesPort === true ? { reusePort: true } : {};
  }
}

function urlOf(host: string, server: Server): string {
  const { port } = server.address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
