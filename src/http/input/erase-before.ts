import type { EraseBefore } from '../../log/eraser.ts';
import { parseDuration } from '../../log/history/since-time.ts';
import { parseId } from '../../model/position.ts';
import { Problem } from '../../model/problem.ts';
import { parseTime } from '../../model/rfc3339.ts';

/**
 * Before what a topic is erased, as `?before=` says it: the id of a message, a time of RFC 3339, or a duration back from now. It must be there: a request that lost its parameter would erase
 * everything.
 * @throws Problem `invalid-cursor`
 */
export function readBefore(text = ''): EraseBefore {
  const position = parseId(text);
  if (position !== undefined) return { kind: 'after', position };
  const milliseconds = parseDuration(text);
  if (milliseconds !== undefined) return { kind: 'ago', milliseconds };
  const time = parseTime(text);
  if (time !== undefined) return { kind: 'since', time };
  throw new Problem('invalid-cursor', 'before must be the id of a message, a time such as 2026-11-22T10:15:30Z, or a duration such as 10m; 0s is everything up to now.', { field: 'before' });
}
