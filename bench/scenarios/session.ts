import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Load, type LoadOptions } from '../load/load.ts';
import type { Delivered, Opened, OpenOptions, ReadResult } from '../load/protocol.ts';
import type { Peer, Server, ServerOptions } from '../types.ts';
import { cpuSeconds } from '../usage.ts';
import { watchOthers } from './others.ts';
import { NO_FAULTS, type Faults, type Round } from './scenario.ts';

/** A fresh server and a fresh load generator, for one measurement; both are gone when it ends. */

const run = promisify(execFile);

/** Where the server's processes and the load's go when they are kept apart. */
const SERVER_CORE = '0';
const LOAD_CORE = '1';
const PIN_ATTEMPTS = 10;

export interface SessionOptions extends ServerOptions {
  /**
   * Each side has a core of its own, where the machine has `taskset`: for figures that are one core's work. Not where the
   * server's own threads shall run beside each other.
   */
  readonly pinned?: boolean;
  readonly loadProcesses?: number;
  /** The load's own code is compiled before: where what is measured is over before that would be. */
  readonly warmLoad?: boolean;
}

export interface Session {
  readonly server: Server;
  readonly load: Load;
  /** Where all instances are reached, and how. */
  readonly target: { readonly wire: Server['wire']; readonly ports: readonly number[] };
  /** Opens streams, and fails unless all of them are open. */
  readonly open: (count: number, topics: string | readonly string[], more?: Partial<OpenOptions>) => Promise<Opened>;
}

export async function withServer<Result>(peer: Peer, options: SessionOptions, body: (session: Session) => Promise<Result>): Promise<Result> {
  const { pinned = false, loadProcesses, warmLoad = false, ...serverOptions } = options;
  const apart = pinned && await canPin();
  await using stack = new AsyncDisposableStack();
  const server = await peer.start(serverOptions);
  stack.defer(() => server.stop());
  if (apart) for (const pid of server.pids) await pin(pid);
  const loadOptions: LoadOptions = {
    ...loadProcesses === undefined ? {} : { processes: loadProcesses },
    warm: warmLoad,
    ...apart ? { by: ['taskset', '-c', LOAD_CORE] } : {},
  };
  const load = await Load.start(loadOptions);
  stack.defer(() => load.stop());
  const target = { wire: server.wire, ports: server.ports };
  return await body({
    server, load, target,
    async open(count, topics, more = {}) {
      const opened = await load.open({ ...target, streams: { count, topics }, ...more });
      if (opened.failed > 0) throw new Error(`${opened.failed} of ${count} streams did not open: ${JSON.stringify(opened.reasons)}`);
      return opened;
    },
  });
}

/** The same for a measurement: what else went on in the machine meanwhile is told with it. */
export function measured(peer: Peer, options: SessionOptions, body: (session: Session) => Promise<Round>): Promise<Round> {
  return withServer(peer, options, async (session) => {
    const others = watchOthers(() => [...session.server.pids, ...session.load.pids]);
    const round = await body(session);
    const share = others();
    return { ...round, ...share === undefined ? {} : { others: share } };
  });
}

/** All threads of a process. One that ends while they are gone through makes `taskset` fail: then once more. */
async function pin(pid: number): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await run('taskset', ['-acp', SERVER_CORE, String(pid)]);
      return;
    } catch (error) {
      if (attempt === PIN_ATTEMPTS) throw error;
    }
  }
}

async function canPin(): Promise<boolean> {
  try {
    await run('taskset', ['-c', LOAD_CORE, 'true']);
    return true;
  } catch {
    return false;
  }
}

/** What a piece of work costs the server: CPU seconds of all its processes. */
export async function costOf<Result>(server: Server, work: () => Promise<Result>): Promise<{ cpu: number; result: Result }> {
  const before = cpuSeconds(server.pids);
  const result = await work();
  return { cpu: cpuSeconds(server.pids) - before, result };
}

/** An event on a stream that had not asked for it counts as doubled; a `$gap` stands for messages that may be lost. */
export function faultsOf(delivered: Delivered): Faults {
  const { lost, doubled, unasked, reordered, refused, ended, gaps } = delivered;
  return { lost, doubled: doubled + unasked, reordered, refused, ended: ended + gaps };
}

export function faultsOfReading({ lost, doubled, reordered, gaps }: ReadResult): Faults {
  return { ...NO_FAULTS, lost, doubled, reordered, ended: gaps };
}

export function sum(faults: readonly Faults[]): Faults {
  return faults.reduce((all, one) => ({
    lost: all.lost + one.lost, doubled: all.doubled + one.doubled, reordered: all.reordered + one.reordered,
    refused: all.refused + one.refused, ended: all.ended + one.ended,
  }), NO_FAULTS);
}

export function isSound({ lost, doubled, reordered, ended }: Faults): boolean {
  return lost === 0 && doubled === 0 && reordered === 0 && ended === 0;
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
