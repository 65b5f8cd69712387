import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { killGroup, running, runningProgram, stillRunning } from './group.ts';
import { forgetGroup, watchGroup } from './leftovers.ts';
import { accepts, freePort } from './ports.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** A program that listens on a port, as a process of its own. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  /** Its whole environment but for PATH, HOME and the temporary folder: a NODE_OPTIONS around the benchmark would change what is measured. */
  readonly env?: Readonly<Record<string, string>>;
  readonly folder: string;
  /** The user that it runs as, if not the one that runs the benchmark. */
  readonly owner?: Owner | undefined;
  /** What makes it end in order; SIGTERM if absent. */
  readonly stopSignal?: NodeJS.Signals;
  /** A command that it is started by. */
  readonly by?: readonly string[];
  /** Whether it can be used; asked for only once it accepts connections. */
  readonly ready?: () => Promise<boolean>;
}

/** Stops a server that never becomes ready from hanging the run; a log of ten million rows may take its time. Milliseconds. */
const READY_LIMIT_MS = 120_000;
const POLL_MS = 10;
/** How long a server may take to end in order, before it is killed. Milliseconds. */
const STOP_LIMIT_MS = 5_000;
/** Stops a process that cannot even be killed (it waits for a disk) from hanging the run. Milliseconds. */
const KILL_LIMIT_MS = 30_000;
/** How often another port is tried when someone else took the one that was free. */
const PORT_ATTEMPTS = 5;
/** Stops a server that writes and writes from filling the benchmark's memory: only the end of its output is kept. Characters. */
const OUTPUT_LIMIT = 65_536;

/** A server's process with its children; started, and ended by its group's id. */
export class ServerProcess {
  readonly port: number;
  readonly #program: Program;
  #group = 0;
  /** What was told to end last. */
  #ended: readonly number[] = [];
  #child: ChildProcess | undefined;
  #output = '';

  private constructor(program: Program, port: number) {
    this.#program = program;
    this.port = port;
  }

  /** Starts what `program` says for a port, and waits until it can be used. */
  static async start(program: (port: number) => Program): Promise<ServerProcess> {
    for (let attempt = 1; ; attempt++) {
      const port = await freePort();
      const server = new ServerProcess(program(port), port);
      try {
        await server.start();
        return server;
      } catch (error) {
        if (attempt === PORT_ATTEMPTS || !/EADDRINUSE|in use/i.test(server.#output)) throw error;
      }
    }
  }

  /** The server and its workers, without what they were started by. */
  get pids(): number[] {
    return runningProgram(this.#group, this.#program.command);
  }

  /** Again, on the same port, when it was stopped or killed. */
  async start(): Promise<void> {
    this.#output = '';
    const { command, args, by = [], folder, env, owner } = this.#program;
    const [first = command, ...rest] = [...by, command, ...args];
    const child = spawn(first, rest, { cwd: folder, env: { ...surroundings(), ...env }, detached: true, stdio: ['ignore', 'pipe', 'pipe'], ...owner });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_LIMIT);
      });
    }
    child.once('error', (error) => {
      this.#output += String(error);
    });
    this.#child = child;
    this.#group = child.pid ?? 0;
    if (child.pid !== undefined) watchGroup(child.pid);
    try {
      await this.#becomesReady();
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  /** Ends it in order if it will, by force if not. */
  async stop(): Promise<void> {
    await this.#end(this.#program.stopSignal ?? 'SIGTERM', STOP_LIMIT_MS);
    await this.kill();
  }

  /** Ends it in order. Fails if it takes longer. */
  async drain(limitMs: number): Promise<void> {
    await this.#end('SIGTERM', limitMs);
    const left = running(this.#group).length;
    await this.kill();
    if (left > 0) throw new Error(`${this.#program.command} did not end by itself in ${limitMs / 1000} s`);
  }

  /** As when the power goes: no last words. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL', KILL_LIMIT_MS);
    if (this.#group === 0) return;
    const left = this.#left();
    if (left.length > 0) throw new Error(`${this.#program.command} does not end: ${left.join(', ')}`);
    forgetGroup(this.#group);
    // From here on the system may give the number to someone else.
    this.#group = 0;
    this.#ended = [];
  }

  /** What was to end and has not. */
  #left(): number[] {
    return [...new Set([...running(this.#group), ...stillRunning(this.#ended)])];
  }

  async #end(signal: NodeJS.Signals, limitMs: number): Promise<void> {
    if (this.#group === 0) return;
    this.#ended = this.#left();
    killGroup(this.#group, signal);
    for (const end = performance.now() + limitMs; performance.now() < end && this.#left().length > 0;) await sleep(POLL_MS);
  }

  async #becomesReady(): Promise<void> {
    const { command, ready } = this.#program;
    for (const end = performance.now() + READY_LIMIT_MS; performance.now() < end; await sleep(POLL_MS)) {
      const isReady = await accepts(this.port) && (ready === undefined || await ready());
      if (!this.#isRunning) throw new Error(`${command} ended while it started:\n${this.#output}`);
      if (isReady) return;
    }
    throw new Error(`${command} is not ready after ${READY_LIMIT_MS / 1000} s:\n${this.#output}`);
  }

  get #isRunning(): boolean {
    return this.#child?.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }
}

function surroundings(): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR } = process.env;
  return { PATH, HOME, ...(TMPDIR === undefined ? {} : { TMPDIR }) };
}
