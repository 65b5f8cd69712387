import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';

/**
 * The processes of a process group, from /proc. Every server is started as the leader of a group of its own, so that
 * its workers, and a tracer that it was started by, are found and ended with it. PostgreSQL's workers each begin a group
 * of their own: they are found as children of the leader, and end when it has.
 */

interface Member {
  readonly pid: number;
  /** Ended, and only waiting for its parent to ask how. */
  readonly isOver: boolean;
}

/** The members of a group, and its leader's children in others, that still run. */
export function running(group: number): number[] {
  return members(group).filter(({ isOver }) => !isOver).map(({ pid }) => pid);
}

/** Those of them that run a program: a server and its workers, but not the tracer that started it. */
export function runningProgram(group: number, command: string): number[] {
  const program = realpathSync(command);
  return running(group).filter((pid) => programOf(pid) === program);
}

/** Those of these processes that still run: a leader that was killed cannot be asked for its children any more. */
export function stillRunning(pids: readonly number[]): number[] {
  return pids.filter((pid) => {
    const found = stateOf(pid);
    return found !== undefined && !found.isOver;
  });
}

/** Ends all of the group at once. Nothing happens when there are none left. */
export function killGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function members(group: number): Member[] {
  const found: Member[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const member = stateOf(pid);
    if (member?.group === group || member?.parent === group) found.push({ pid, isOver: member.isOver });
  }
  return found;
}

function stateOf(pid: number): { readonly parent: number; readonly group: number; readonly isOver: boolean } | undefined {
  const text = readOrGone(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  if (text === undefined) return undefined;
  // The command's name is in brackets and may hold anything; after it come state, parent and group, and 15 fields on the number of threads.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, parent, group] = fields;
  // While another thread has not ended, the first one's state says nothing yet: sockets are still open, and take connections.
  return { parent: Number(parent), group: Number(group), isOver: (state === 'Z' || state === 'X') && Number(fields[17]) <= 1 };
}

function programOf(pid: number): string | undefined {
  return readOrGone(() => readlinkSync(`/proc/${pid}/exe`));
}

/** A process may end between being listed and being read. */
function readOrGone(read: () => string): string | undefined {
  try {
    return read();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH');
}
