import { readProblem } from '../../model/grant.ts';
import { Problem } from '../../model/problem.ts';
import { CallLimiter } from '../../runtime/sharing/call-limiter.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { tooManyWait } from '../../store/change-problem.ts';
import { FIRST_USE_MS, OWNER_MAX_TICKETS, type NewTicket, type TicketRecord, type TicketStore } from '../../store/contracts/ticket-store.ts';
import type { Identity } from '../credentials/identity.ts';
import { readTicketRequest } from './ticket-request.ts';
import { makeTicket } from './ticket-text.ts';
import type { Tickets } from './tickets.ts';
import { WaitingRequests } from '../leases/waiting-requests.ts';

/** Tickets that are made at the same time: each waits for the same lock. Stops a flood of requests from taking all connections to the database, or delaying who publishes. */
const MAKING_MAX_TICKETS = 2;

/** Requests for tickets that wait for their turn; beyond that the sender with most gets 503. Stops a flood of them from holding memory. */
const MAKING_MAX_REQUESTS = 1_000;

/** How many of these requests may be of one key or subject. Stops one sender from keeping all others out. */
const OWNER_MAKING_MAX_REQUESTS = 100;

export interface TicketAdministrationDependencies {
  readonly store: Pick<TicketStore, 'createTicket'>;
  readonly tickets: Pick<Tickets, 'made'>;
  readonly logger: Pick<Logger, 'info'>;
  readonly counters: Pick<Counters, 'ticketsMade' | 'evicted'>;
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
  readonly #calls: CallLimiter;
  readonly #requests = new WaitingRequests({ max: OWNER_MAKING_MAX_REQUESTS, detail: 'Too many requests of this sender for tickets are waiting.' });

  constructor(dependencies: TicketAdministrationDependencies) {
    this.#dependencies = dependencies;
    this.#calls = new CallLimiter({ places: MAKING_MAX_TICKETS, maxWaiting: MAKING_MAX_REQUESTS, refusal: tooManyWait, gate: 'tickets', counters: dependencies.counters });
  }

  /**
   * @param owner The sender, after it has shown a credential.
   * @param request `{"topics": […]}`; the sender may read all of them, or gets no ticket.
   * @param client The address of the request, for the audit line.
   * @param holder Who asks: senders take turns.
   */
  async make({ origin, credential, grant, name, scope }: Identity, request: unknown, client: string, holder: Holder): Promise<ShownTicketText> {
    const { store, tickets, logger, counters, maxTopics } = this.#dependencies;
    if (origin === undefined || credential === undefined) throw new Problem('unauthorized', 'A ticket takes a credential: Authorization: Bearer with a key or token.', { field: 'Authorization' });
    const filter = readTicketRequest(request, maxTopics);
    const forbidden = readProblem(grant, filter);
    if (forbidden !== undefined) throw forbidden;
    const { id, text, digest } = makeTicket();
    const wanted: NewTicket = { id, digest, origin, session: credential.session, until: credential.expires, topics: [...filter.topics, ...filter.patterns] };
    const ticket = await this.#requests.pass(scope, () => this.#calls.pass(() => store.createTicket(wanted), holder));
    if (ticket === undefined) {
      const retrySeconds = FIRST_USE_MS / 1000;
      throw new Problem('rate-limited', `Too many tickets wait for their use, or have their streams open; come back in ${retrySeconds} s.`, { spent: { policy: 'tickets', quota: OWNER_MAX_TICKETS, windowSeconds: retrySeconds, left: 0, retrySeconds } });
    }
    tickets.made(ticket);
    counters.ticketsMade++;
    logger.info({ audit: 'ticket-made', ticket: id, by: name, client }, 'a ticket was made');
    return { ticket, text };
  }
}
