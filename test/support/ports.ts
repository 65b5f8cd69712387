import { createServer } from 'node:net';

/** Below the ports that systems give to outgoing connections, so that none of those takes it while a server restarts. */
const LOWEST = 20_000;
const HIGHEST = 32_000;
const ATTEMPTS = 100;
/** Test files that run side by side have ports of their own: one whose server is about to come back looks free. As many as there may be of them. */
const SHARES = 4;
const SHARE = Number(process.env['TAP_JOB_ID'] ?? 0) % SHARES;
const given = new Set<number>();

/** A port of 127.0.0.1 that nothing listens on, for a server that cannot be told to take any and say which. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST) / SHARES) * SHARES + SHARE;
    if (given.has(port) || !await isFree(port)) continue;
    given.add(port);
    return port;
  }
  throw new Error('No free port was found');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
