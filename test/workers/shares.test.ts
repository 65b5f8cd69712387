import { readFileSync } from 'node:fs';
import t from 'tap';
import { readConfig, type Config } from '../../src/config/config.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { DIVIDED, shareOf } from '../../src/workers/shares.ts';

/** What settings mean where several workers are one service. */

function share(count: number, environment: Record<string, string> = {}): Config {
  return shareOf(readConfig(environment, { dotenv: false }), { number: 1, count, port: 4711, operationsPort: undefined, sharesPort: true, hub: undefined });
}

t.test('each worker has its part of what bounds the whole service, and never less than it needs', async (t) => {
  const whole = readConfig({}, { dotenv: false });
  const names = Object.keys(DIVIDED) as (keyof typeof DIVIDED)[];
  for (const count of [2, 3, 4, 64]) {
    const one = share(count);
    for (const name of names) {
      t.ok(one[name] * count >= whole[name], `${name} of ${count} is not less than the whole`);
      t.ok(one[name] >= SETTINGS[name].read(String(one[name])), `${name} of ${count} is allowed`);
    }
    t.ok(one.BATCH_BYTES <= one.APPEND_QUEUE_BYTES && one.BATCH_BYTES <= one.REQUEST_BYTES && one.BATCH_MESSAGES <= one.APPEND_QUEUE_MESSAGES, 'a batch fits');
  }
  t.match(share(3, { MAX_STREAMS: '100', TAIL_BYTES: '1KiB', DATABASE_CONNECTIONS: '2' }), { MAX_STREAMS: 34, TAIL_BYTES: 1024, DATABASE_CONNECTIONS: 2, PORT: 4711 });
});

t.test('everything else stays as it was set', async (t) => {
  const changed = new Set([...Object.keys(DIVIDED), 'PORT', 'OPS_PORT']);
  const [whole, one] = [readConfig({}, { dotenv: false }), share(4)];
  t.same(Object.entries(one).filter(([name]) => !changed.has(name)), Object.entries(whole).filter(([name]) => !changed.has(name)));
});

t.test('the document names every setting that is divided', async (t) => {
  const text = readFileSync(new URL('../../docs/capacity.md', import.meta.url), 'utf8').split('## All cores of a machine')[1]!.split('\n## ')[0]!;
  for (const name of Object.keys(DIVIDED)) t.ok(text.includes(`\`${name}\``), name);
});
