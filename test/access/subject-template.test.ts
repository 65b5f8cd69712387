import fc from 'fast-check';
import { t } from 'tap';
import { expandPattern, subjectSegment } from '../../src/access/tokens/subject-template.ts';
import { checkLiteral, matches } from '../../src/model/topic.ts';
import { rounds } from '../support/rounds.ts';

/** The table of docs/access-jwt.md. */
const EXAMPLES: readonly (readonly [subject: string, segment: string])[] = [
  ['alice', 'alice'],
  ['3f1c9a52-7d1e-4a0f-9f0e-6f2f6a1d2b3c', '3f1c9a52-7d1e-4a0f-9f0e-6f2f6a1d2b3c'],
  ['user_42', 'user_42'],
  ['alice@example.com', 'alice~40example~2Ecom'],
  ['google-oauth2|1042', 'google-oauth2~7C1042'],
  ['a b', 'a~20b'],
  ['*', '~2A'],
  ['>', '~3E'],
  ['$admin', '~24admin'],
  ['50%', '50~25'],
  ['a%2Eb', 'a~252Eb'],
  ['a~2Eb', 'a~7E2Eb'],
  ['a/b', 'a~2Fb'],
  ['{sub}', '~7Bsub~7D'],
  ['zoë', 'zo~C3~AB'],
  ['李', '~E6~9D~8E'],
  ['😀', '~F0~9F~98~80'],
  ['\u0000\u007f\n', '~00~7F~0A'],
];

/** How docs/access-jwt.md says it for JavaScript. */
function documented(subject: string): string {
  return encodeURIComponent(subject).replace(/[!'()*.~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`).replaceAll('%', '~');
}

const HOSTILE = ['.', '*', '>', '$', '%', '~', '/', '{', '}', '@', ' ', '\t', '\n', '\u0000', '\u0085', '\u00a0', '\u2028', '\ufeff', 'a', 'A', '0', '_', '-', 'é', '李', '😀', '+', '?', '#', '&', '='];
const subjectsUpTo = (maxLength: number): fc.Arbitrary<string> => fc.oneof(
  fc.string({ minLength: 1, unit: 'binary', maxLength }),
  fc.array(fc.constantFrom(...HOSTILE), { minLength: 1, maxLength }).map((characters) => characters.join('')),
  // Looks like what others become.
  fc.constantFrom(...HOSTILE, '~2E').map(subjectSegment),
);
/** The longest whose segment is a topic, whatever they hold. */
const subjects = subjectsUpTo(21);
/** Several of them fit into one topic. */
const shortSubjects = subjectsUpTo(3);

t.test('a subject becomes the segment that the document says', (t) => {
  for (const [subject, segment] of EXAMPLES) t.equal(subjectSegment(subject), segment, JSON.stringify(subject));
  fc.assert(fc.property(subjects, (subject) => subjectSegment(subject) === documented(subject)), { numRuns: rounds(500, 20_000) });
  t.end();
});

t.test('every subject becomes one legal segment, which means the same in every URL', (t) => {
  fc.assert(fc.property(subjects, (subject) => {
    const segment = subjectSegment(subject);
    return checkLiteral(segment) === segment && !segment.includes('.') && !segment.startsWith('$')
      && encodeURIComponent(segment) === segment && new URL(`http://h/topics/${segment}`).pathname === `/topics/${segment}`;
  }), { numRuns: rounds(500, 20_000) });
  t.end();
});

t.test('the segment gives the subject back, so no two subjects share one', (t) => {
  fc.assert(fc.property(subjects, (subject) => decodeURIComponent(subjectSegment(subject).replaceAll('~', '%')) === subject), { numRuns: rounds(500, 20_000) });
  fc.assert(fc.property(subjects, subjects, (one, other) => (subjectSegment(one) === subjectSegment(other)) === (one === other)), { numRuns: rounds(500, 20_000) });
  t.end();
});

t.test('the pattern of one subject grants nothing of another, and never more than the template with a star', (t) => {
  const segment = fc.constantFrom('a', 'b', '*', '{sub}');
  const templates = fc.tuple(fc.array(segment, { maxLength: 3 }), fc.array(segment, { maxLength: 2 }), fc.boolean())
    .map(([before, after, rest]) => [...before, '{sub}', ...after, ...(rest ? ['>'] : [])].join('.'));
  const topics = fc.array(fc.oneof(fc.constantFrom('a', 'b', 'x'), shortSubjects.map(subjectSegment)), { minLength: 1, maxLength: 6 });
  fc.assert(fc.property(templates, shortSubjects, shortSubjects, topics, (template, one, other, rest) => {
    const pattern = expandPattern(template, one, 'f');
    // A topic that fits the template, with the other's segment in one place of the subject.
    const place = template.split('.').indexOf('{sub}');
    const topic = template.split('.').flatMap((part, index) => {
      if (part === '>') return rest;
      if (index === place) return subjectSegment(other);
      return part === '{sub}' ? subjectSegment(one) : part === '*' ? rest[0]! : part;
    }).join('.');
    const isNarrower = !matches(pattern, rest.join('.')) || matches(template.replaceAll('{sub}', '*'), rest.join('.'));
    return pattern.split('.').length === template.split('.').length && matches(pattern, topic) === (one === other) && isNarrower;
  }), { numRuns: rounds(1000, 20_000) });
  t.end();
});

t.test('a template is a pattern in which {sub} is a whole segment, and no other braces stand', (t) => {
  for (const [template, pattern] of [['{sub}', 'x~2Ey'], ['user.{sub}.>', 'user.x~2Ey.>'], ['{sub}.{sub}.*', 'x~2Ey.x~2Ey.*'], ['sub', 'sub'], ['$x', '$x']] as const) {
    t.equal(expandPattern(template, 'x.y', 'f'), pattern);
  }
  for (const template of ['', '.', 'user-{sub}', '{sub}x', '{SUB}', '{user}', '{{sub}}', '{sub', 'sub}', '{ sub }', '{sub}.>.x', 'a..{sub}', 'a*.{sub}', '{sub}.', `${'a'.repeat(250)}.{sub}.b`]) {
    t.throws(() => expandPattern(template, 'x.y', 'f'), { code: 'invalid-topic', field: 'f' }, template);
  }
  t.equal(expandPattern('user.{sub}.>', '李'.repeat(27), 'f').length, 'user..>'.length + 27 * 9);
  t.throws(() => expandPattern('user.{sub}.>', '李'.repeat(28), 'f'), { message: /longer than 255 bytes/ });
  t.end();
});
