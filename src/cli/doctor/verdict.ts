import { printable } from '../../runtime/logging/printable.ts';
import type { MendName } from './mends.ts';

/** `unseen`: the check could not be made, for example without permission to publish. It counts as neither good nor wrong. */
export type Level = 'good' | 'warning' | 'wrong' | 'unseen';

export interface Verdict {
  readonly level: Level;
  /** A sentence for people, without a full stop. */
  readonly finding: string;
  readonly mend?: MendName;
}

export function good(finding: string): Verdict {
  return { level: 'good', finding };
}

export function unseen(finding: string): Verdict {
  return { level: 'unseen', finding };
}

export function warning(finding: string, mend?: MendName): Verdict {
  return { level: 'warning', finding, ...(mend === undefined ? {} : { mend }) };
}

export function wrong(finding: string, mend?: MendName): Verdict {
  return { level: 'wrong', finding, ...(mend === undefined ? {} : { mend }) };
}

/** Stops a proxy's page from filling the screen. */
const QUOTED_MAX_CHARACTERS = 160;

/** A text from an answer, on one line and without control characters. */
export function quoted(text: string): string {
  const line = printable(text.replace(/\s+/g, ' ').trim());
  return line.length <= QUOTED_MAX_CHARACTERS ? line : `${line.slice(0, QUOTED_MAX_CHARACTERS)}…`;
}
