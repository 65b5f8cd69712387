import { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { t, type Test } from 'tap';
import { forkWorker } from '../../src/workers/fork.ts';

/** Processes that the system does not give. Where a test ends well, no error ended this process, as it would have ended a supervisor. */

/** Node's method, which its types do not show. */
interface Spawning {
  spawn: (this: ChildProcess, options: { file: string }) => unknown;
}

function spawning(t: Test, change: (spawn: Spawning['spawn']) => Spawning['spawn']): void {
  const prototype = ChildProcess.prototype as unknown as Spawning;
  const { spawn } = prototype;
  prototype.spawn = change(spawn);
  t.teardown(() => {
    prototype.spawn = spawn;
  });
}

t.test('a process that cannot be started is an error of the worker, and nobody else\'s', async (t) => {
  spawning(t, (spawn) => function fail(options) {
    return spawn.call(this, { ...options, file: '/nowhere/node' });
  });
  const child = forkWorker({});
  t.match(await once(child as ChildProcess, 'error'), [{ code: 'ENOENT' }]);
  t.equal(child.pid, undefined);
  await turn();
});

t.test('so is one where Node throws: it does where there is no memory', async (t) => {
  spawning(t, () => () => {
    throw Object.assign(new Error('spawn ENOMEM'), { code: 'ENOMEM' });
  });
  const child = forkWorker({});
  t.match(await once(child as ChildProcess, 'error'), [{ code: 'ENOMEM' }]);
  t.equal(child.pid, undefined);
  t.notOk(child.connected);
});
