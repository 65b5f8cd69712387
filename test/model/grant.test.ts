import { t } from 'tap';
import { eraseProblem, FULL_GRANT, presenceProblem, publishProblem, readProblem, type Grant } from '../../src/model/grant.ts';
import { Filter } from '../../src/model/topic.ts';

const NARROW: Grant = { mayPublish: (topic) => topic === 'a', mayRead: (pattern) => ['a', 'b.>'].includes(pattern), mayErase: () => false, maySeePresence: () => false };

t.test('a full grant leaves nothing out', (t) => {
  t.equal(publishProblem(FULL_GRANT, [{ topic: 'a' }, { topic: 'b' }]), undefined);
  t.equal(readProblem(FULL_GRANT, new Filter(['a', '>'])), undefined);
  t.end();
});

t.test('a request is granted whole, or not at all, and the problem names the missing topics', (t) => {
  t.equal(publishProblem(NARROW, [{ topic: 'a' }]), undefined);
  t.match(publishProblem(NARROW, [{ topic: 'a' }, { topic: 'secret' }]), { code: 'forbidden', status: 403, message: /publish to secret: that takes the grant publish\.$/ });
  t.equal(readProblem(NARROW, new Filter(['a', 'b.>'])), undefined);
  t.match(readProblem(NARROW, new Filter(['a', 'c'])), { code: 'forbidden', message: /read c: that takes the grant subscribe\.$/ });
  t.match(eraseProblem(NARROW, 'c'), { message: /grant erase\.$/ });
  t.match(presenceProblem(NARROW, new Filter(['c'])), { message: /grant presence\.$/ });
  t.match(readProblem(NARROW, new Filter(['a', 'b.*'])), { code: 'forbidden', message: /read b\.\*/ });
  t.end();
});
