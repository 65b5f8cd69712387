import Database from 'better-sqlite3';
import type { Http } from './http.ts';

/** A ticket that a page was given. */
export interface Ticket {
  readonly ticket: string;
  readonly expiresAt: string;
}

/** Exchanges a credential for a ticket, as a page does. */
export async function getTicket(http: Http, topics: readonly string[], headers: Readonly<Record<string, string>>): Promise<Ticket> {
  const { status, body } = await http.send('POST', '/tickets', headers, JSON.stringify({ topics }));
  if (status !== 201) throw new Error(`${status} ${body}`);
  return JSON.parse(body) as Ticket;
}

/** What happens to the tickets of a log in SQLite only in time: it is written past the service. */
export class TicketTime {
  readonly #file: string;

  /** @param url `file:…` */
  constructor(url: string) {
    this.#file = url.slice('file:'.length);
  }

  /** So many milliseconds have passed. */
  age(milliseconds: number): void {
    this.#write(`UPDATE tickets SET ends = ends - ${milliseconds}`);
  }

  /** The streams have been open for half a minute. */
  guard(): void {
    this.#write('UPDATE tickets SET guarded = 1');
  }

  #write(sql: string): void {
    const db = new Database(this.#file);
    try {
      db.exec(sql);
    } finally {
      db.close();
    }
  }
}
