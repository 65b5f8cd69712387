import { t } from 'tap';
import { byBytes } from '../../src/model/byte-order.ts';
import { prefixesWithin, rangesOf } from '../../src/model/topic-ranges.ts';

const CHARACTERS = ['!', 'a', 'b', '.', 'é', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10fffe}', '\u{10ffff}'];
const NAMES = CHARACTERS.flatMap((one) => [one, ...CHARACTERS.flatMap((two) => [one + two, ...CHARACTERS.map((three) => one + two + three)])]);

t.test('a range has the names that begin with its prefix, and come after the one that was last', (t) => {
  for (const prefix of ['', ...NAMES.filter((name) => name.length <= 4)]) {
    for (const after of ['', prefix, 'b', `${prefix}a`]) {
      const ranges = rangesOf([prefix], after);
      const wrong = NAMES.filter((name) => (name.startsWith(prefix) && (after === '' || byBytes(name, after) > 0)) !== ranges.some(({ from, before }) => byBytes(name, from) >= 0 && byBytes(name, before) < 0));
      if (wrong.length > 0) t.same(wrong, [], `${JSON.stringify(prefix)} after ${JSON.stringify(after)}`);
    }
  }
  t.same(rangesOf(['a.b', 'b', 'a', 'a.', 'b'], '').map(({ from }) => from), ['a', 'b'], 'no range lies within another');
  t.end();
});

t.test('of what may be shown, only what has the prefix is looked for', (t) => {
  const scope = ['user.*.inbox', 'room.>', 'hall', '*.x'];
  t.same(prefixesWithin(scope, ''), ['user.', 'room.', 'hall', '']);
  t.same(prefixesWithin(scope, 'user.alice'), ['user.alice', 'user.alice']);
  t.same(prefixesWithin(scope, 'ha'), ['hall', 'ha']);
  t.same(prefixesWithin(['room.>'], 'user.'), []);
  t.end();
});
