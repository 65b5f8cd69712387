import { EVERYBODY, type Identity } from '../../access/credentials/identity.ts';
import { nameProblem } from '../../access/tokens/jwt-claims.ts';
import { jsonProblem } from '../../access/tokens/token-json.ts';
import { Problem } from '../../model/problem.ts';
import { MEMBER_MAX_BYTES, META_MAX_BYTES, type Member } from '../../presence/member.ts';
import { ownText } from '../../runtime/memory.ts';
import type { Query } from './query-string.ts';

/**
 * The member that listens. The credential names it; without access control `?as=` does. `?meta=` is its metadata for others, unless the token has some.
 * @throws Problem that names the parameter
 */
export function readMember({ as: id, meta }: Query, identity: Identity): Member | undefined {
  if (id === undefined && meta === undefined) return identity.member;
  const member = typeof id === 'string' ? named(id, identity) : identity.member;
  if (typeof meta !== 'string') return member;
  if (member === undefined) throw new Problem('invalid-request', 'meta tells of a member, and this stream has none: as names one, where there is no access control, and otherwise a credential does.', { field: 'meta' });
  if (member.meta !== undefined) throw new Problem('forbidden', 'The token says what others see of its subject; leave meta out.', { field: 'meta' });
  return { id: member.id, meta: readMeta(meta) };
}

function named(id: string, identity: Identity): Member {
  if (identity !== EVERYBODY) throw new Problem('forbidden', 'There is access control here, so a credential says who listens; leave as out.', { field: 'as' });
  const problem = nameProblem(id);
  if (problem !== undefined) throw new Problem('invalid-request', `as is not valid: ${problem}.`, { field: 'as' });
  return { id: ownText(id), meta: undefined };
}

/** In one line: outside of its texts, JSON may have line ends, which mean nothing. */
function readMeta(text: string): string {
  if (Buffer.byteLength(text) > META_MAX_BYTES) throw invalidMeta(`it is longer than ${META_MAX_BYTES} bytes`);
  if (!text.isWellFormed()) throw invalidMeta('it is not well-formed Unicode');
  try {
    JSON.parse(text);
  } catch (error) {
    throw invalidMeta('it is not JSON', error);
  }
  const problem = jsonProblem(text);
  if (problem !== undefined) throw invalidMeta(problem);
  return ownText(text.replace(/[\t\r\n]/g, ' '));
}

function invalidMeta(why: string, cause?: unknown): Problem {
  return new Problem('invalid-request', `meta is not valid: ${why}.`, { field: 'meta', cause });
}

/** The id of a member in a path. @throws Problem */
export function readMemberId(id: string): string {
  if (id === '' || id.includes('\0') || !id.isWellFormed() || Buffer.byteLength(id) > MEMBER_MAX_BYTES) throw new Problem('invalid-request', `The id of a member is a text of 1 to ${MEMBER_MAX_BYTES} bytes.`, { field: 'id' });
  return id;
}

/** The `after` of a page. The place of presence reads no longer cursors. @throws Problem */
export function readAfter({ after = '' }: { readonly after?: string | undefined }, maxBytes: number): string {
  if (Buffer.byteLength(after) > maxBytes) throw new Problem('invalid-request', `after is no cursor of a page: it is longer than ${maxBytes} bytes.`, { field: 'after' });
  return after;
}
