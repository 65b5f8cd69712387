import { join } from 'node:path';
import { startInstance } from './instance.ts';
import { tempFolder, type Scope } from './temp.ts';
import { SECRET } from './tokens.ts';

/** Where nothing listens: who is sent there has loaded its driver all the same. */
const NOWHERE = '127.0.0.1:1';
/** What an instance loads when it is first asked for it. */
const PATHS = ['/openapi.json', '/messages?topic=a&limit=1', '/'];

/**
 * Starts instances with each store and ends them in order: Node then keeps what it has compiled. Instances that are killed keep nothing,
 * and in most tests they are. A start that finds everything compiled takes half the time, and there are hundreds of them. One file that is not compiled costs a tenth of a
 * second: for it Node loads its compiler of TypeScript.
 */
export async function warmUp(): Promise<void> {
  const teardowns: (() => unknown)[] = [];
  const scope: Scope = { teardown: (handler) => teardowns.unshift(handler) };
  // Two on one file tell each other who is there.
  const shared = { DRAIN_SECONDS: '0', DATABASE_URL: `file:${join(tempFolder(scope), 'log.db')}` };
  try {
    const instances = await Promise.all([
      startInstance(scope, shared),
      startInstance(scope, { ...shared, JWT_SECRET: SECRET, AUTH_COOKIE: 'tidings' }),
      startInstance(scope, { DRAIN_SECONDS: '0', DATABASE_URL: `postgres://${NOWHERE}/none`, REDIS_URL: `redis://${NOWHERE}` }, {
        ready: ({ output }) => output.includes('the log cannot be opened'),
      }),
    ]);
    for (const path of PATHS) await (await fetch(`${instances[0].url}${path}`)).arrayBuffer();
    for (const instance of instances) instance.kill('SIGINT');
    await Promise.all(instances.map(({ exited }) => exited));
  } finally {
    for (const teardown of teardowns) await teardown();
  }
}
