import { setTimeout as sleep } from 'node:timers/promises';
import { Link } from '../support/link.ts';
import type { Loss } from '../support/lost.ts';
import { startPostgres, type PostgresServer } from '../support/postgres.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';
import type { Fault } from './faults.ts';

/** The standby asks again soon for a primary that was away: until it is back, nothing is committed. */
const SETTINGS = ["wal_retrieve_retry_interval = '200ms'"];

/** Generous: a machine may be busy with other things. Milliseconds. */
const CATCH_UP = 120_000;

/**
 * A server with a standby that has to have each commit before it is answered: when it takes the primary's place, nothing is
 * lost that got its 201.
 */
export class Pair {
  primary: PostgresServer;
  #standby: PostgresServer;
  /** From the standby to its primary. */
  readonly #link: Link;

  private constructor(primary: PostgresServer, standby: PostgresServer, link: Link) {
    this.primary = primary;
    this.#standby = standby;
    this.#link = link;
  }

  static async start(t: Scope): Promise<Pair> {
    const primary = await startPostgres(t, { settings: SETTINGS });
    const link = await Link.start(t, primary.port);
    const pair = new Pair(primary, await primary.standby(link), link);
    await pair.#join();
    return pair;
  }

  /** Ends the primary and starts it again, on a port of its own: the old one may be somebody's by now. */
  async restart({ milliseconds, chance }: Fault): Promise<void> {
    await this.primary.stop(modeOf(chance));
    await sleep(milliseconds);
    this.primary.port = 0;
    await this.primary.start();
    this.#link.lead(this.primary.port);
  }

  /** The primary is gone for good, its standby takes its place, and gets a standby of its own. */
  async failOver({ milliseconds, chance }: Fault): Promise<void> {
    // What was waiting for the standby when the primary was last restarted was seen without it.
    await this.#caughtUp();
    await this.primary.stop(modeOf(chance));
    await sleep(milliseconds);
    await this.#promote();
  }

  /**
   * The standby gets nothing any more and the primary goes on without it, until the primary is gone for good and the standby takes its place.
   * @param meanwhile What befalls the primary before it is gone.
   */
  async lose({ chance }: Fault, meanwhile: () => Promise<void>): Promise<Loss> {
    await this.#caughtUp();
    const copiedAt = performance.now();
    await this.primary.ask('postgres', "ALTER SYSTEM SET synchronous_standby_names = ''");
    await this.primary.ask('postgres', 'SELECT pg_reload_conf()');
    this.#link.cut();
    await meanwhile();
    await this.primary.stop(modeOf(chance));
    const tookOverAt = performance.now();
    await this.#promote();
    this.#link.heal();
    return { copiedAt, tookOverAt };
  }

  /** Once a failover is over for those who use the server. */
  async renew(): Promise<void> {
    this.#standby = await this.primary.standby(this.#link);
    await this.#join();
  }

  /** From now on the primary waits for the standby at each commit. Not before it is there: nothing would be committed. */
  async #join(): Promise<void> {
    await until('the standby follows', () => this.#isTrue('SELECT count(*) = 1 FROM pg_stat_replication WHERE state = \'streaming\''), CATCH_UP);
    await this.primary.ask('postgres', "ALTER SYSTEM SET synchronous_standby_names = '*'");
    await this.primary.ask('postgres', 'SELECT pg_reload_conf()');
    await this.#caughtUp();
  }

  async #promote(): Promise<void> {
    await this.#standby.promote();
    this.primary.remove();
    this.primary = this.#standby;
    this.#link.lead(this.primary.port);
  }

  async #caughtUp(): Promise<void> {
    const [[end] = []] = await this.primary.ask('postgres', 'SELECT pg_current_wal_flush_lsn()');
    await until('the standby has everything', () => this.#isTrue(`SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND flush_lsn >= '${String(end)}'`), CATCH_UP);
  }

  async #isTrue(question: string): Promise<boolean> {
    const [[answer] = []] = await this.primary.ask('postgres', question);
    return answer === true;
  }
}

function modeOf(chance: number): 'fast' | 'immediate' {
  return chance < 0.5 ? 'fast' : 'immediate';
}
