import { lstat, mkdtemp, readdir, rmdir, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The longest path of a socket, with its terminating zero byte: 104 bytes on macOS, 108 on Linux (unix(7)). */
export const SOCKET_PATH_MAX_BYTES = 103;

export const SOCKET_NAME = 'hub';

/** The suffix that mkdtemp appends. */
const MKDTEMP_SUFFIX = 'XXXXXX';

/** A folder without a socket is not removed while it is younger than this: another supervisor may be about to listen in it. */
const FOLDER_FRESH_MS = 60_000;

/** All permission bits of the group and of others. */
const OTHERS_MODE = 0o077;

/**
 * Makes a folder for the hub's socket. Only this user can enter it, because mkdtemp creates it with mode 0700. Prefers `XDG_RUNTIME_DIR`, which the system empties at a restart.
 * Skips folders whose path is too long for a socket.
 * @param port The port of the service. Removes folders that killed supervisors of this port left behind.
 */
export async function makeSocketFolder(port: number | undefined): Promise<string> {
  let last: unknown;
  for (const parent of [process.env['XDG_RUNTIME_DIR'] ?? '', tmpdir(), '/tmp']) {
    const name = `tidings-hub-${port ?? 0}-`;
    if (parent === '' || Buffer.byteLength(join(parent, `${name}${MKDTEMP_SUFFIX}`, SOCKET_NAME)) > SOCKET_PATH_MAX_BYTES) continue;
    try {
      if (port !== undefined) await removeLeft(parent, name);
      return await mkdtemp(join(parent, name));
    } catch (error) {
      last = error;
    }
  }
  throw new Error('no temporary folder can be written to: set TMPDIR to one that can', { cause: last });
}

/** Whether a hub listens at a path. */
export async function isAnswered(path: string): Promise<boolean> {
  // The backlog of a frozen hub may be full: then the error is another one.
  return (await refusalOf(path)) !== 'ECONNREFUSED';
}

/** The code of the error with which the system refuses a connection; undefined if it connects. */
function refusalOf(path: string): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const socket = connect({ path });
  socket.on('connect', () => resolve(undefined));
  socket.on('error', (error) => resolve(codeOf(error)));
  return promise.finally(() => socket.destroy());
}

/** Removes folders without a hub. Checks by connecting, because containers may share the port and the temporary folder. */
async function removeLeft(parent: string, prefix: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix) || name.length !== prefix.length + MKDTEMP_SUFFIX.length) continue;
    const folder = join(parent, name);
    try {
      const found = await lstat(folder);
      if (!found.isDirectory() || found.uid !== process.getuid?.() || (found.mode & OTHERS_MODE) !== 0) continue;
      const refusal = await refusalOf(join(folder, SOCKET_NAME));
      if (refusal === 'ECONNREFUSED') await unlink(join(folder, SOCKET_NAME));
      else if (refusal !== 'ENOENT' || Date.now() - found.mtimeMs < FOLDER_FRESH_MS) continue;
      await rmdir(folder);
    } catch (error) {
      // Another process may be removing the same folder, or have files of its own in it. Ignore errors of the system.
      if (codeOf(error) === undefined) throw error;
    }
  }
}

/** The code of an error of the system, such as ENOENT. */
function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}
