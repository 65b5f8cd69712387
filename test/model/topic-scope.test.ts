import fc from 'fast-check';
import { t } from 'tap';
import { TopicScope } from '../../src/model/topic-scope.ts';
import { rounds } from '../support/rounds.ts';

/** The rules of NATS subjects, as an expression: no code in common with what is tested. */
function expression(pattern: string): RegExp {
  const body = pattern.split('.').map((segment) => segment === '*' ? '[^.]+' : segment === '>' ? '.+' : segment).join('\\.');
  return new RegExp(`^(?!\\$)${body}$`);
}

function scopeHas(scope: readonly string[], topic: string): boolean {
  return scope.some((pattern) => pattern === topic || expression(pattern).test(topic));
}

/** `other` is in no pattern: it stands for all names that nobody thought of. */
const NAMES = ['a', 'b', 'other'];
const LONGEST_SEGMENTS = 5;

function topicsUpTo(length: number): string[] {
  const shorter = length === 0 ? [] : topicsUpTo(length - 1);
  return [...shorter, ...(length === 0 ? [] : NAMES.flatMap((name) => length === 1 ? [name] : shorter.filter((topic) => topic.split('.').length === length - 1).map((topic) => `${topic}.${name}`)))];
}
const TOPICS = topicsUpTo(LONGEST_SEGMENTS);

const segment = fc.constantFrom('a', 'b', '*');
const pattern = fc.tuple(fc.array(segment, { minLength: 1, maxLength: 3 }), fc.boolean()).map(([segments, isOpen]) => [...segments, ...(isOpen ? ['>'] : [])].join('.'));
const anyPattern = fc.oneof(pattern, fc.constant('>'));

t.test('a scope covers a pattern exactly where it has every topic that the pattern matches', (t) => {
  let covered = 0;
  fc.assert(fc.property(fc.array(anyPattern, { maxLength: 5 }), anyPattern, (names, wanted) => {
    const scope = new TopicScope(names);
    const matched = TOPICS.filter((topic) => expression(wanted).test(topic));
    const isCovered = scope.covers(wanted);
    if (isCovered) covered++;
    return isCovered === matched.every((topic) => scopeHas(names, topic));
  }), { numRuns: rounds(1_000, 100_000, 300) });
  t.ok(covered > 20, `${covered} were covered`);
  t.end();
});

t.test('a scope has exactly the topics that one of its patterns matches', (t) => {
  fc.assert(fc.property(fc.array(anyPattern, { maxLength: 5 }), fc.constantFrom(...TOPICS), (names, topic) => {
    const scope = new TopicScope(names);
    const isIn = scopeHas(names, topic);
    // A topic is a pattern that matches itself.
    return scope.hasTopic(topic) === isIn && scope.covers(topic) === isIn;
  }), { numRuns: rounds(1_000, 100_000, 300) });
  t.end();
});

const CASES: readonly (readonly [scope: string, pattern: string, covered: boolean, why: string])[] = [
  ['user.alice.>', 'user.alice.>', true, 'the same'],
  ['user.alice.>', 'user.alice.inbox', true, 'a topic of it'],
  ['user.alice.>', 'user.alice.*', true, 'a part of it'],
  ['user.alice.>', 'user.alice', false, '> is one segment or more'],
  ['user.alice.>', 'user.*.inbox', false, 'a wildcard takes bob too'],
  ['user.alice.>', 'user.>', false, 'it begins before'],
  ['user.alice.>', '>', false, 'everything'],
  ['user.alice.>', '*.*.*', false, 'everything of three segments'],
  ['user.alice.>', 'user.alice.b.>', true, 'below it'],
  ['user.alice.>', 'user.alicex.inbox', false, 'a name that begins alike'],
  ['user.alice.>', 'user.Alice.inbox', false, 'case counts'],
  ['user.alice.>', 'user.alic\u0435.inbox', false, 'a letter that only looks like one'],
  ['a.* a.*.>', 'a.>', true, 'several together'],
  ['a.* a.*.*.>', 'a.>', false, 'two segments below are missing'],
  ['*', 'a', true, 'a topic of one segment'],
  ['*', '>', false, 'longer ones'],
  ['* *.>', '>', true, 'all lengths'],
  ['>', '>', true, 'everything'],
  ['>', '$keys', false, 'no wildcard has reserved topics'],
  ['>', '$keys.*', false, 'nor patterns of them'],
  ['$keys', '$keys', true, 'but a name has'],
  ['$keys.*', '$keys.a', false, 'a reserved topic belongs to no pattern'],
  ['', 'a', false, 'nothing'],
  ['', '>', false, 'nothing'],
  ['a', '*', false, 'one name is not all'],
  ['a.b', 'a.*', false, 'one name is not all'],
];

t.test('coverage, by examples', (t) => {
  for (const [names, wanted, isCovered, why] of CASES) t.equal(new TopicScope(names === '' ? [] : names.split(' ')).covers(wanted), isCovered, `${names} and ${wanted}: ${why}`);
  t.end();
});
