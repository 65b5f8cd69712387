import { members, readPatterns } from '../../access/credentials/key-request.ts';
import { isStreamSecret } from '../../access/leases/stream-handles.ts';
import type { TopicChange } from '../../fleet/topic-changes.ts';
import { Problem } from '../../model/problem.ts';
import { checkLiteral, checkWish } from '../../model/topic.ts';
import { isOn } from './stream-switches.ts';

export interface TopicChangeRequest {
  readonly secret: string;
  readonly change: TopicChange;
}

/**
 * Reads how a stream is to change: `{"secret", "add"?: […], "remove"?: […]}`. With `pattern=0` only topics are taken, as where a stream is opened.
 * @param most How many names each list may have.
 * @throws Problem that names the member
 */
export function readTopicChange(value: unknown, query: unknown, most: number): TopicChangeRequest {
  const { secret, add, remove } = members(value, ['secret', 'add', 'remove']);
  if (!isStreamSecret(secret)) throw new Problem('invalid-request', 'secret must be the secret of the stream, as its $open said it.', { field: 'secret' });
  return { secret, change: checkNames({ add, remove }, isOn(query, 'pattern'), most) };
}

/** Reads the two lists. @throws Problem that names the member */
export function checkNames({ add: added, remove: removed }: { readonly add?: unknown; readonly remove?: unknown }, takesPatterns: boolean, most: number): TopicChange {
  if (added === undefined && removed === undefined) throw new Problem('invalid-request', 'Nothing is asked for: add and remove name the topics that the stream is to have, and no longer to have.', { field: 'add' });
  const check = takesPatterns ? checkWish : checkLiteral;
  const add = readPatterns(added, 'add', most, check);
  const remove = readPatterns(removed, 'remove', most, check);
  const known = new Set(add);
  const both = remove.findIndex((name) => known.has(name));
  if (both !== -1) throw new Problem('invalid-request', `${remove[both]} is to be added and removed: name it once.`, { field: `remove[${both}]` });
  return { add, remove };
}
