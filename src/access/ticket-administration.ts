import { readProblem } from '../model/grant.ts';
import { Problem } from '../model/problem.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logger.ts';
import { FIRST_USE_MS, OWNER_MAX_TICKETS, type TicketRecord, type TicketStore } from '../store/ticket-store.ts';
import type { Identity } from './identity.ts';
import { readTicketRequest } from './ticket-request.ts';
import { makeTicket } from './ticket-text.ts';

export interface TicketAdministrationDependencies {
  readonly store: Pick<TicketStore, 'createTicket'>;
  readonly logger: Pick<Logger, 'info'>;
  readonly counters: Pick<Counters, 'ticketsMade'>;
  /** The most topics and patterns of a stream. */
  readonly maxTopics: number;
}

/** A ticket and its text, which is shown this once. */
export interface ShownTicketText {
  readonly ticket: TicketRecord;
  readonly text: string;
}

/** Exchanges credentials for tickets, with an audit line for each. */
export class TicketAdministration {
  readonly #dependencies: TicketAdministrationDependencies;

  constructor(dependencies: TicketAdministrationDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * @param owner The sender, who has just shown a credential.
   * @param request `{"topics": […]}`; the sender may read all of them, or gets no ticket.
   * @param client The address of the request, for the audit line.
   */
  async make({ origin, credential, grant, name }: Identity, request: unknown, client: string): Promise<ShownTicketText> {
    const { store, logger, counters, maxTopics } = this.#dependencies;
    if (origin === undefined || credential === undefined) throw new Problem('unauthorized', 'A ticket takes a credential: Authorization: Bearer with a key or token.', { field: 'Authorization' });
    const filter = readTicketRequest(request, maxTopics);
    const forbidden = readProblem(grant, filter);
    if (forbidden !== undefined) throw forbidden;
    const { id, text, digest } = makeTicket();
    const ticket = await store.createTicket({ id, digest, origin, session: credential.session, until: credential.expires, topics: [...filter.topics, ...filter.patterns] });
    if (ticket === undefined) {
      const retrySeconds = FIRST_USE_MS / 1000;
      throw new Problem('rate-limited', `Too many tickets wait for their use, or have their streams open; come back in ${retrySeconds} s.`, { spent: { policy: 'tickets', quota: OWNER_MAX_TICKETS, windowSeconds: retrySeconds, left: 0, retrySeconds } });
    }
    counters.ticketsMade++;
    logger.info({ audit: 'ticket-made', ticket: id, by: name, client }, 'a ticket was made');
    return { ticket, text };
  }
}
