import { startInstance } from './instance.ts';
import type { Scope } from './temp.ts';

/** Where nothing listens: who is sent there has loaded its driver all the same. */
const NOWHERE = '127.0.0.1:1';

/**
 * Starts instances with each store and bus and ends them in order: Node then keeps what it has compiled. Instances that are killed keep nothing,
 * and in most tests they are. A start that finds everything compiled takes half the time, and there are hundreds of them.
 */
export async function warmUp(): Promise<void> {
  const teardowns: (() => unknown)[] = [];
  const scope: Scope = { teardown: (handler) => teardowns.unshift(handler) };
  try {
    const instances = await Promise.all([
      startInstance(scope, { DRAIN_SECONDS: '0' }),
      startInstance(scope, { DRAIN_SECONDS: '0', DATABASE_URL: `postgres://${NOWHERE}/none`, REDIS_URL: `redis://${NOWHERE}` }, {
        ready: ({ output }) => output.includes('the log cannot be opened'),
      }),
    ]);
    for (const instance of instances) instance.kill('SIGINT');
    await Promise.all(instances.map(({ exited }) => exited));
  } finally {
    for (const teardown of teardowns) await teardown();
  }
}
