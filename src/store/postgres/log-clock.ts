import { CLOCK_JUMP_MS } from '../believed-clock.ts';
import { UNDERSTOOD_LEVEL } from '../level.ts';
import { ACCEPT_STEP_KEYS, ACCEPT_STEP_MESSAGES, acceptInSteps, neverOpened, requireSchema, type LogClocks, type Restamped } from '../log-clock.ts';
import { HEAD, RETENTION } from './connection/expressions.ts';
import { missing } from './applied-migrations.ts';
import type { Ask } from './connection/connection.ts';
import { inSession } from './connection/connection-pool.ts';
import { wholeNumber } from './connection/literals.ts';
import { TRANSACTION_SETTINGS } from './connection/transaction-settings.ts';

/** Reads the clocks of a database, for the command line. Rejects with a `StoreError`. */
export function readClocks(url: string): Promise<LogClocks> {
  return connected(url, async (ask) => {
    const [row] = await ask(`SELECT m.clock, tidings.believe(m.clock, tidings.known_clock(r), NULL, ${CLOCK_JUMP_MS}), CASE WHEN h.seq > 0 THEN h.time END
      FROM ${HEAD} h, ${RETENTION} r, (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS clock) m`);
    if (row === undefined) throw neverOpened();
    const [machine, believed, newest] = row;
    return { machine: wholeNumber(machine), believed: wholeNumber(believed), newest: newest === null ? undefined : wholeNumber(newest) };
  });
}

/** Accepts the server's clock: messages and keys with a later time get the present time, and keep their remaining lifetime. Rejects with a `StoreError`. */
export function acceptClock(url: string): Promise<Restamped> {
  return connected(url, (ask) => acceptInSteps(async () => {
    await ask(`BEGIN; ${TRANSACTION_SETTINGS}`);
    const [row] = await ask(`SELECT * FROM tidings.accept_clock(${[ACCEPT_STEP_MESSAGES, ACCEPT_STEP_KEYS, UNDERSTOOD_LEVEL].join(', ')})`);
    await ask('COMMIT');
    const [messages, keys, more] = row!;
    return { messages: wholeNumber(messages), keys: wholeNumber(keys), more: more === 't' };
  }));
}

function connected<Result>(url: string, work: (ask: Ask) => Promise<Result>): Promise<Result> {
  return inSession(url, async (ask) => {
    requireSchema((await missing(ask)).filter(({ isLong }) => !isLong));
    return work(ask);
  });
}
