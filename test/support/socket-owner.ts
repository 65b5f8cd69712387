import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Whether a process holds the end of a TCP connection of 127.0.0.1 whose ports these are, as the kernel shows it. false where the process is gone. */
export function hasConnection(pid: number, { localPort, remotePort }: { readonly localPort: number; readonly remotePort: number }): boolean {
  const port = (number: number): string => number.toString(16).toUpperCase().padStart(4, '0');
  const row = readFileSync('/proc/net/tcp', 'latin1').split('\n').map((line) => line.trim().split(/\s+/)).find((fields) => fields[1]?.endsWith(`:${port(localPort)}`) === true && fields[2]?.endsWith(`:${port(remotePort)}`) === true);
  const inode = row?.[9];
  if (inode === undefined) return false;
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`);
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

/** undefined where the descriptor was closed meanwhile. */
function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ESRCH';
}
