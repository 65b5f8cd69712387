import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Link } from '../support/link.ts';
import { startPostgres, type PostgresServer } from '../support/postgres.ts';
import type { Scope } from '../support/temp.ts';
import type { FleetDatabase, Hurt } from './database.ts';
import type { FaultKind } from './faults.ts';

/** A server of PostgreSQL, with a link to it from each instance. */
export async function startPostgresOf(t: Scope, instances: number): Promise<FleetDatabase> {
  const server = await startPostgres(t);
  const database = await server.database();
  const links = new Map<string, Link>();
  for (let index = 0; index < instances; index++) links.set(nameOf(index), await Link.start(t, server.port));
  const faults = new Map<FaultKind, Hurt>([
    ['database restarted', async ({ milliseconds, chance }) => {
      await server.stop(chance < 0.5 ? 'fast' : 'immediate');
      await sleep(milliseconds);
      // On a port of its own: the old one may be somebody's by now.
      server.port = 0;
      await server.start();
      for (const link of links.values()) link.lead(server.port);
    }],
    ['database connections cut off', async ({ milliseconds }) => {
      await terminate(server, database);
      await sleep(milliseconds);
      // Once more: perhaps they had just come back.
      await terminate(server, database);
    }],
    ['database paused', ({ milliseconds }) => pause(server, milliseconds)],
  ]);
  return { url: (instance) => server.url(database, links.get(nameOf(instance))), by: [], links, faults, skipped: [] };
}

function nameOf(instance: number): string {
  return `instance ${instance + 1} and PostgreSQL`;
}

async function terminate(server: PostgresServer, database: string): Promise<void> {
  await server.ask('postgres', `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}'`);
}

/** All processes of the server: those of connections go on when only the first one stops. */
async function pause(server: PostgresServer, milliseconds: number): Promise<void> {
  process.kill(server.pid, 'SIGSTOP');
  const stopped = [...childrenOf(server.pid).filter((pid) => signal(pid, 'SIGSTOP')), server.pid];
  await sleep(milliseconds);
  for (const pid of stopped) signal(pid, 'SIGCONT');
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter((child) => child !== '').map(Number);
}

/** false where the process has ended meanwhile. */
function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}
