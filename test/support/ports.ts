import { createServer } from 'node:net';

/** Below the ports that systems give to outgoing connections, so that none of those takes it while a server restarts. */
const LOWEST = 20_000;
const HIGHEST = 32_000;
const ATTEMPTS = 100;
/** Test files that run side by side have ports of their own: one whose server is about to come back looks free. As many as there may be of them. */
const SHARES = 32;
const SHARE = Number(process.env['TIDINGS_TEST_SHARE'] ?? process.env['TAP_JOB_ID'] ?? 0) % SHARES;
const given = new Set<number>();

/** How far above its port a node of a Redis cluster hears the other nodes. */
const CLUSTER_OFFSET = 10_000;
/** Below this, that one is not a port that systems give to outgoing connections either. */
const CLUSTER_HIGHEST = 22_000;

/** A port of 127.0.0.1 that nothing listens on, for a server that cannot be told to take any and say which. */
export function freePort(): Promise<number> {
  return find(HIGHEST, [0]);
}

/** The same for a node of a Redis cluster, which takes two. */
export function freeClusterPort(): Promise<number> {
  return find(CLUSTER_HIGHEST, [0, CLUSTER_OFFSET]);
}

async function find(highest: number, offsets: readonly number[]): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = LOWEST + Math.floor(Math.random() * (highest - LOWEST) / SHARES) * SHARES + SHARE;
    const wanted = offsets.map((offset) => port + offset);
    if (wanted.some((one) => given.has(one)) || (await Promise.all(wanted.map(isFree))).includes(false)) continue;
    for (const one of wanted) given.add(one);
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
