import { mock } from 'node:test';
import t from 'tap';
import { follow, type Received } from '../../src/cli/follow.ts';
import { runHandler } from '../../src/cli/handler-command.ts';
import { CommandError } from '../../src/cli/outcome.ts';
import { passing } from '../../src/cli/remote.ts';
import { createRequests } from '../../src/client/token-requests.ts';

/** What stops `tidings subscribe` from waiting for ever, or from ending without a reason. */

t.test('a service that takes the connection and says nothing is left after a minute, and asked again; after ten seconds it says what may be', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const asked = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let attempts = 0;
  const stop = new AbortController();
  const requests = passing(createRequests('http://127.0.0.1:1', {
    fetch: (_url, init) => new Promise((_resolve, reject) => {
      init?.signal?.addEventListener('abort', () => reject(new Error('aborted')));
      asked[attempts++]?.resolve();
    }),
  }));
  const following = follow(requests, { message: () => Promise.resolve(), moved: () => undefined }, { topics: ['a'], start: {}, signal: stop.signal });
  await asked[0]!.promise;
  const said = t.capture(process.stderr, 'write', () => true);
  mock.timers.tick(9_999);
  t.strictSame(said(), []);
  mock.timers.tick(1);
  t.match(said(), [{ args: [/something on the way may hold it back\. Run tidings doctor to find it\.\n$/] }]);
  mock.timers.tick(50_000);
  t.equal(attempts, 1);
  // The pause begins some turns later.
  const ticking = setInterval(() => mock.timers.tick(1_000), 1);
  t.teardown(() => clearInterval(ticking));
  await asked[1]!.promise;
  clearInterval(ticking);
  stop.abort();
  await following;
  t.equal(attempts, 2);
  t.strictSame(said().flatMap(({ args }) => args).filter((text) => String(text).includes('doctor')), [], 'it is said once');
});

t.test('a command that cannot be run ends it with the reason', async (t) => {
  const message: Received = { id: 'abcdefgh-1', topic: 'a', event: 'message', time: '', data: '1', source: '' };
  // No system takes a variable of this size.
  const error = await runHandler('true', message, { isWhole: false, url: 'x'.repeat(4 * 1024 * 1024) }).catch((reason: unknown) => reason);
  t.type(error, CommandError);
  t.match(error, { message: '--exec: the command cannot be run (E2BIG) for message abcdefgh-1, which is not done' });
});
