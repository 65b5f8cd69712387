import { SecretText, type MadeSecret, type ReadSecret } from '../credentials/secret-text.ts';

/** Tickets as URLs hold them: `tdt_<id>_<secret>`. */
const TICKETS = new SecretText('tdt');

/** Whether a credential is a ticket, well-formed or not. */
export function isTicket(text: string): boolean {
  return TICKETS.is(text);
}

/** The parts of a ticket that are compared; undefined where the text is no ticket. */
export function readTicket(text: string): ReadSecret | undefined {
  return TICKETS.read(text);
}

export function makeTicket(): MadeSecret {
  return TICKETS.make();
}
