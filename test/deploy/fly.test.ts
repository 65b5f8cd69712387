import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readConfig } from '../../src/config/config.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { parseToml, type Table } from './toml.ts';

/** fly.toml against what Fly.io documents, and against the service's own settings. */

const fly = parseToml(readFileSync(join(import.meta.dirname, '../../fly.toml'), 'utf8'));

/** What a value may be: a kind, certain words, or a pattern. */
type Rule = 'string' | 'number' | 'boolean' | 'strings' | readonly (string | boolean)[] | RegExp;
interface Schema { readonly [key: string]: Rule | Schema | readonly [Schema] }

const DURATION = /^([0-9]+(ms|s|m|h))+$/;
const CONCURRENCY: Schema = { type: ['connections', 'requests'], soft_limit: 'number', hard_limit: 'number' };

/** The keys of https://fly.io/docs/reference/configuration/, as far as they could be of use here. Any other is a mistake, or has to be looked up first. */
const DOCUMENTED: Schema = {
  app: /^[a-z0-9-]+$/,
  primary_region: /^[a-z]{3}$/,
  kill_signal: ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGKILL', 'SIGSTOP'],
  kill_timeout: 'number',
  swap_size_mb: 'number',
  build: { dockerfile: 'string', image: 'string', ignorefile: 'string', 'build-target': 'string' },
  deploy: {
    strategy: ['rolling', 'immediate', 'canary', 'bluegreen'], max_unavailable: 'number', wait_timeout: DURATION, release_command: 'string', release_command_timeout: DURATION,
  },
  env: Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, 'string'])) as Schema,
  mounts: [{ source: /^[a-z0-9_]{1,30}$/, destination: /^\/./, initial_size: 'string', processes: 'strings' }],
  http_service: {
    internal_port: 'number', force_https: 'boolean', auto_stop_machines: ['off', 'stop', 'suspend'], auto_start_machines: 'boolean', min_machines_running: 'number', processes: 'strings',
    concurrency: CONCURRENCY,
    checks: [{ method: 'string', path: /^\//, protocol: ['http', 'https'], interval: DURATION, timeout: DURATION, grace_period: DURATION, tls_skip_verify: 'boolean' }],
  },
  vm: [{ size: 'string', memory: /^[0-9]+(mb|gb)$/, cpus: 'number', cpu_kind: ['shared', 'performance'], processes: 'strings' }],
};

function faults(value: unknown, rule: Schema[string], path: string): string[] {
  if (rule instanceof RegExp) return typeof value === 'string' && rule.test(value) ? [] : [`${path} is ${JSON.stringify(value)}, not ${rule}`];
  if (typeof rule === 'string') {
    const fits = rule === 'strings' ? Array.isArray(value) && value.every((one) => typeof one === 'string') : typeof value === rule;
    return fits ? [] : [`${path} is ${JSON.stringify(value)}, not a ${rule}`];
  }
  if (!Array.isArray(rule)) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path} is no table`];
    return Object.entries(value as Table).flatMap(([key, one]) => {
      const own = (rule as Schema)[key];
      return own === undefined ? [`${path}${key} is not documented`] : faults(one, own, `${path}${key}.`);
    });
  }
  const [first] = rule as readonly unknown[];
  if (typeof first !== 'object') return (rule as readonly unknown[]).includes(value) ? [] : [`${path} is ${JSON.stringify(value)}, none of ${rule.join(', ')}`];
  return Array.isArray(value) ? value.flatMap((one) => faults(one, first as Schema, path)) : [`${path} is no list of tables`];
}

t.test('it has only documented keys, with values of their kinds', (t) => {
  t.same(faults(fly, DOCUMENTED, ''), []);
  t.not(faults({ kill_timeout: '40', http_service: { auto_stop: true }, mounts: {} }, DOCUMENTED, '').length, 0, 'the check itself');
  t.end();
});

t.test('it fits the service', (t) => {
  const env = fly['env'] as Record<string, string>;
  const config = readConfig(env, { dotenv: false });
  const service = fly['http_service'] as Record<string, unknown>;
  const { soft_limit: soft, hard_limit: hard, type } = service['concurrency'] as Record<string, number | string>;
  const [check] = service['checks'] as Record<string, string>[];
  const [mount] = fly['mounts'] as Record<string, string>[];
  t.equal(fly['kill_signal'], 'SIGTERM', 'the signal that starts a drain');
  t.ok(Number(fly['kill_timeout']) >= config.DRAIN_SECONDS + 10, 'a drain is over before it is killed');
  t.ok(Number(fly['kill_timeout']) <= 300, 'the most that Fly.io allows');
  t.same(fly['deploy'], { ...fly['deploy'] as Table, strategy: 'rolling', max_unavailable: 1 });
  t.equal(service['internal_port'], config.PORT);
  t.equal(config.HOST, '0.0.0.0', 'the proxy, which is elsewhere, reaches it');
  t.match(service, { auto_stop_machines: 'off', auto_start_machines: true, min_machines_running: 1 }, 'it runs, whether anybody asks or not');
  t.equal(check!['path'], '/readyz');
  t.equal(type, 'connections');
  t.ok(Number(soft) < config.MAX_STREAMS && config.MAX_STREAMS < Number(hard), 'the service says "full" before the proxy does');
  t.ok(env['DATABASE_URL']!.startsWith(`file:${mount!['destination']}/`), 'the log is on the volume');
  t.end();
});
