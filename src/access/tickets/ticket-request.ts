import { checkWish, Filter } from '../../model/topic.ts';
import { Problem } from '../../model/problem.ts';
import { members, readPatterns } from '../credentials/key-request.ts';

/**
 * Reads what a ticket is to open: `{"topics": […]}`, topics and patterns.
 * @param most How many there may be.
 * @throws Problem that names the member
 */
export function readTicketRequest(value: unknown, most: number): Filter {
  const topics = readPatterns(members(value, ['topics'])['topics'], 'topics', most, checkWish);
  if (topics.length === 0) throw new Problem('invalid-request', 'topics is not valid: it must name the topics and patterns that the stream is to have.', { field: 'topics' });
  return new Filter(topics);
}
