import { join } from 'node:path';
import type { Balancer } from './balancer.ts';
import { PATIENT_CHECKS, startHaproxy } from './haproxy.ts';
import { Instance } from './instance.ts';
import { startNginx } from './nginx.ts';
import { freePort } from './ports.ts';
import { tempFolder, type Scope } from './temp.ts';

/** Short times, so that a test is quick; without Redis the others hear of a message by looking. */
const SETTINGS = { LOG_LEVEL: 'warn', POLL_MS: '100', HEARTBEAT_SECONDS: '1', DRAIN_SECONDS: '1', RETRY_MIN_MS: '100', RETRY_MAX_MS: '300', CORS_ORIGINS: 'https://app.example' };

/** As many as the shipped configurations name. */
const INSTANCES = 3;

/** Three instances on one log, and both load balancers before them. */
export interface Balanced {
  readonly instances: readonly Instance[];
  /** By name. */
  readonly balancers: ReadonlyMap<string, Balancer>;
  /** For one more instance on the same log that no balancer knows of. */
  readonly env: Readonly<Record<string, string>>;
}

export async function startBalanced(t: Scope, settings: Readonly<Record<string, string>> = {}): Promise<Balanced> {
  const env = { ...SETTINGS, DATABASE_URL: `file:${join(tempFolder(t), 'tidings.db')}`, ...settings };
  const instances: Instance[] = [];
  for (let index = 0; index < INSTANCES; index++) instances.push(new Instance(t, await freePort(), env, {}));
  await Promise.all(instances.map((instance) => instance.started()));
  const ports = instances.map(({ port }) => port);
  const [haproxy, nginx] = await Promise.all([startHaproxy(t, ports, { replace: PATIENT_CHECKS }), startNginx(t, ports)]);
  return { instances, env, balancers: new Map([['HAProxy', haproxy], ['nginx', nginx]]) };
}
