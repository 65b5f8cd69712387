import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { listening } from './listening.ts';
import type { Script } from './mutants.ts';
import type { Scope } from './temp.ts';
import { until } from './until.ts';

/** How long the other side may be silent before the liar goes on with its script: it may wait for what a mutant left out. Milliseconds. */
const SILENCE = 4;

/** Says what to play to whoever began a connection with these bytes. */
export type Play = (first: Buffer) => Script;

/** What was said on one connection to the honest server. */
export interface Recording {
  readonly first: Buffer;
  readonly script: Buffer[];
}

/** A server on a free port of 127.0.0.1 that passes everything on to an honest one and records it, or plays a script to each connection and ends it then. */
export class Liar {
  readonly recordings: Recording[] = [];
  /** How many connections were lied to. */
  liedTo = 0;
  /** Called whenever it said a piece of a script. */
  said: () => void = () => undefined;
  readonly #target: number;
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  #play: Play | undefined;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#accept(client));
  }

  static async start(t: Scope, target: number): Promise<Liar> {
    const liar = new Liar(target);
    await listening(liar.#server);
    t.teardown(() => {
      liar.reset();
      liar.#server.close();
    });
    return liar;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** How many connections are open. */
  get open(): number {
    return this.#clients.size;
  }

  lie(play: Play): void {
    this.#play = play;
    this.liedTo = 0;
  }

  beHonest(): void {
    this.#play = undefined;
  }

  /** Says something to everyone who talks to the honest server, as from that one. */
  interject(bytes: Buffer): void {
    for (const client of this.#clients) client.write(bytes);
  }

  reset(): void {
    for (const client of this.#clients) client.destroy();
  }

  /** Waits until it has lied to so many connections, and all are over. */
  async done(connections: number): Promise<void> {
    await until('all was said', () => this.liedTo >= connections && this.#clients.size === 0);
  }

  #accept(client: Socket): void {
    this.#clients.add(client);
    client.setNoDelay(true);
    client.on('error', () => undefined);
    client.on('close', () => this.#clients.delete(client));
    if (this.#play === undefined) this.#pass(client);
    else this.#deceive(client, this.#play);
  }

  #pass(client: Socket): void {
    const server = connect(this.#target, '127.0.0.1');
    let recording: Recording | undefined;
    client.on('data', (bytes) => {
      if (recording === undefined) this.recordings.push(recording = { first: bytes, script: [] });
      recording.script.push(Buffer.alloc(0));
      server.write(bytes);
    });
    server.on('data', (bytes) => {
      const script = recording!.script;
      script.push(Buffer.concat([script.pop()!, bytes]));
      client.write(bytes);
    });
    server.on('error', () => undefined);
    server.on('close', () => client.destroy());
    client.on('close', () => server.destroy());
  }

  #deceive(client: Socket, play: Play): void {
    this.liedTo += 1;
    let script: Script | undefined;
    let next = 0;
    let silence: NodeJS.Timeout | undefined;
    const speak = (): void => {
      clearTimeout(silence);
      if (client.destroyed || script === undefined) return;
      const piece = script[next++];
      if (piece === undefined) {
        client.destroy();
        return;
      }
      client.write(piece);
      silence = setTimeout(speak, SILENCE);
      this.said();
    };
    client.on('data', (bytes) => {
      script ??= play(bytes);
      speak();
    });
    client.on('close', () => clearTimeout(silence));
  }
}
