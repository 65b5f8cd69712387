import { t } from 'tap';
import { FULL_GRANT, publishProblem, readProblem, type Grant } from '../../src/model/grant.ts';
import { Filter } from '../../src/model/topic.ts';

const NARROW: Grant = { mayPublish: (topic) => topic === 'a', mayRead: (pattern) => ['a', 'b.>'].includes(pattern), mayErase: () => false, maySeePresence: () => false };

t.test('a full grant leaves nothing out', (t) => {
  t.equal(publishProblem(FULL_GRANT, [{ topic: 'a' }, { topic: 'b' }]), undefined);
  t.equal(readProblem(FULL_GRANT, new Filter(['a', '>'])), undefined);
  t.end();
});

t.test('all that is asked for is granted, or nothing, and the problem names what is not', (t) => {
  t.equal(publishProblem(NARROW, [{ topic: 'a' }]), undefined);
  t.match(publishProblem(NARROW, [{ topic: 'a' }, { topic: 'secret' }]), { code: 'forbidden', status: 403, message: /publish to secret/ });
  t.equal(readProblem(NARROW, new Filter(['a', 'b.>'])), undefined);
  t.match(readProblem(NARROW, new Filter(['a', 'c'])), { code: 'forbidden', message: /read c/ });
  t.match(readProblem(NARROW, new Filter(['a', 'b.*'])), { code: 'forbidden', message: /read b\.\*/ });
  t.end();
});
