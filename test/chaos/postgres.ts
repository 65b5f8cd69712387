import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Link } from '../support/link.ts';
import type { PostgresServer } from '../support/postgres.ts';
import type { Scope } from '../support/temp.ts';
import { stepped } from './clocks.ts';
import { LOST_EPOCH_MS, type FleetDatabase, type Hurt } from './database.ts';
import type { FaultKind } from './faults.ts';
import { Pair } from './pair.ts';

/** A server of PostgreSQL with a synchronous standby, and a link to it from each instance. */
export async function startPostgresOf(t: Scope, instances: number): Promise<FleetDatabase> {
  const pair = await Pair.start(t);
  const database = await pair.primary.database();
  await makeClock(pair.primary, database);
  const links = new Map<string, Link>();
  for (let index = 0; index < instances; index++) links.set(nameOf(index), await Link.start(t, pair.primary.port));
  const lead = (): void => {
    for (const link of links.values()) link.lead(pair.primary.port);
  };
  const faults = new Map<FaultKind, Hurt>([
    ['database restarted', async (fault) => {
      await pair.restart(fault);
      lead();
    }],
    ['database failed over', async (fault) => {
      await pair.failOver(fault);
      lead();
      await pair.renew();
    }],
    ['database loses its newest epoch', async (fault, fleet) => {
      fleet.losses.push(await pair.lose(fault, async () => {
        for (const link of links.values()) link.reset();
        await sleep(LOST_EPOCH_MS + fault.milliseconds);
      }));
      lead();
      await pair.renew();
    }],
    ['database connections cut off', async ({ milliseconds }) => {
      await terminate(pair.primary, database);
      await sleep(milliseconds);
      // Once more: perhaps they had just come back.
      await terminate(pair.primary, database);
    }],
    ['database paused', ({ milliseconds }) => pause(pair.primary, milliseconds)],
    ['database clock stepped', (fault) => stepped(fault, (step) => setClock(pair.primary, database, step))],
  ]);
  return { url: (instance) => pair.primary.url(database, links.get(nameOf(instance))), by: [], links, faults, skipped: [] };
}

function nameOf(instance: number): string {
  return `instance ${instance + 1} and PostgreSQL`;
}

/** Makes a clock for a database that can be set: what the service asks there finds another `clock_timestamp` before PostgreSQL's own. */
export async function makeClock(server: PostgresServer, database: string): Promise<void> {
  await server.ask(database, `CREATE SCHEMA stepped; CREATE TABLE stepped.clock (step interval NOT NULL); INSERT INTO stepped.clock VALUES ('0');
    CREATE FUNCTION stepped.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT pg_catalog.clock_timestamp() + step FROM stepped.clock';
    ALTER DATABASE ${database} SET search_path = stepped, pg_catalog, public`);
}

/** Sets it so many milliseconds before the machine's own, or behind it where they are negative. */
export async function setClock(server: PostgresServer, database: string, step: number): Promise<void> {
  await server.ask(database, `UPDATE stepped.clock SET step = '${step} milliseconds'`);
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
