import { SecretText, type MadeSecret, type ReadSecret } from './secret-text.ts';

/** Sessions as cookies hold them: `tds_<id>_<secret>`. */
const SESSIONS = new SecretText('tds');

/** Whether a credential is a session, well-formed or not. */
export function isSession(text: string): boolean {
  return SESSIONS.is(text);
}

/** The parts of a session that are compared; undefined where the text is no session. */
export function readSession(text: string): ReadSecret | undefined {
  return SESSIONS.read(text);
}

export function makeSession(): MadeSecret {
  return SESSIONS.make();
}
