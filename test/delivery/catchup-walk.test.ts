import { t } from 'tap';
import { Backlog } from '../../src/delivery/catchup/catchup-backlog.ts';
import { STEP_MESSAGES } from '../../src/delivery/catchup/catchup-steps.ts';
import { walk, type NearReaders } from '../../src/delivery/catchup/catchup-walk.ts';
import { Group } from '../../src/delivery/reader/reader-group.ts';
import { Recent } from '../../src/log/tail/recent-messages.ts';
import { Message } from '../../src/model/message.ts';
import { Filter } from '../../src/model/topic.ts';

const MESSAGES = Array.from({ length: 3 * STEP_MESSAGES }, (_, index) =>
  new Message('epoch', index + 1, 0, 0, { topic: index % 2 === 0 ? 'even' : 'odd', event: undefined, json: false, data: Buffer.from('x') }));
const TAIL = new Recent(Infinity);
for (const message of MESSAGES) TAIL.push(message);

function near(...names: string[]): NearReaders {
  return { group: new Group(new Filter(names)), backlog: new Backlog(), readers: [] };
}

t.test('a walk looks at no more messages than its groups take', (t) => {
  const all = walk([near('>')], TAIL, 0);
  t.equal(all.end.seq, STEP_MESSAGES, 'it ends where no group takes more');
  t.equal(all.matches, STEP_MESSAGES);
  const two = walk([near('>'), near('even')], TAIL, 0);
  t.same(two.shares.map(({ messages, end }) => [messages.length, end.seq]), [[STEP_MESSAGES, STEP_MESSAGES], [STEP_MESSAGES, 2 * STEP_MESSAGES - 1]]);
  t.equal(two.end.seq, 2 * STEP_MESSAGES - 1);
  t.equal(walk([near('>'), near('quiet')], TAIL, 0).end.seq, MESSAGES.length, 'a group that wants little is shown everything');
  t.end();
});
