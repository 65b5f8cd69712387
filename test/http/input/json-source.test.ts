import fc from 'fast-check';
import { t } from 'tap';
import { DuplicateMember, elementSpans, memberSpan, NotAnArray } from '../../../src/http/input/json-source.ts';

const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 3 });

/** JSON source text in all the ways it can be written: white space anywhere, characters escaped or not, long numbers. */
const source: fc.Arbitrary<string> = fc.letrec<{ value: string; text: string; array: string; object: string }>((tie) => ({
  value: fc.oneof({ depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('null', 'true', 'false', '0', '-0', '1e400', '12345678901234567890', '-1.50E-7', '""', '"}"', '"\\""', '"\\\\"', '"\\\\\\""', '"\\ud800"'),
    tie('text'), tie('array'), tie('object')),
  text: fc.tuple(fc.string({ unit: 'binary' }), fc.nat()).map(([text, seed]) => quote(text, seed)),
  array: fc.tuple(space, fc.array(fc.tuple(tie('value'), space, space), { maxLength: 4 })).map(([inner, items]) => `[${inner}${items.map(([value, a, b]) => `${a}${value}${b}`).join(',')}]`),
  object: fc.tuple(space, fc.array(fc.tuple(tie('text'), tie('value'), space, space), { maxLength: 4 }))
    .map(([inner, members]) => `{${inner}${members.map(([name, value, a, b]) => `${a}${name}${b}:${a}${value}${b}`).join(',')}}`),
})).value;

/** The same text may be written in many ways: every character may be escaped. */
function quote(text: string, seed: number): string {
  let quoted = '';
  for (let index = 0; index < text.length; index++) {
    const plain = JSON.stringify(text[index]).slice(1, -1);
    const escape = (seed >> (index % 16)) % 3 === 0;
    quoted += escape ? `\\u${text.charCodeAt(index).toString(16).padStart(4, '0')}` : plain;
  }
  return `"${quoted}"`;
}

t.test('what a member says is found as it is written', (t) => {
  const around = fc.tuple(space, space, space, space, fc.nat(), source, source);
  fc.assert(fc.property(source, around, (data, [a, b, c, d, seed, before, after]) => {
    const text = `${a}{${b}"x":${before}${c},${b}${quote('data', seed)}${d}:${a}${data}${c},${d}"y"${a}:${after}}${b}`;
    const span = memberSpan(text, 'data')!;
    t.equal(text.slice(span.start, span.end), data);
    t.same(JSON.parse(text.slice(span.start, span.end)), (JSON.parse(text) as { data: unknown }).data);
  }), { numRuns: 500 });
  t.end();
});

t.test('the elements of an array are found as they are written', (t) => {
  fc.assert(fc.property(fc.array(fc.tuple(source, space, space)), space, space, (items, a, b) => {
    const text = `${a}[${b}${items.map(([value, before, after]) => `${before}${value}${after}`).join(',')}]${b}`;
    t.same([...elementSpans(text)].map((span) => text.slice(span!.start, span!.end)), items.map(([value]) => value));
  }), { numRuns: 300 });
  t.end();
});

t.test('a text is taken for an array exactly when JSON.parse does so', (t) => {
  const piece = fc.constantFrom('[', ']', '{', '}', ',', ':', '"', '\\', ' ', '1', 'null', '"a"', '\n', 'x', '""', '{}', '[]');
  const isArray = (text: string): boolean => {
    try {
      return Array.isArray(JSON.parse(text));
    } catch {
      return false;
    }
  };
  const isTaken = (text: string): boolean => {
    try {
      for (const span of elementSpans(text)) JSON.parse(text.slice(span!.start, span!.end));
      return true;
    } catch (error) {
      if (error instanceof NotAnArray || error instanceof SyntaxError) return false;
      throw error;
    }
  };
  fc.assert(fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
    const text = `[${pieces.join('')}]`;
    t.equal(isTaken(text), isArray(text), text);
    t.equal(isTaken(pieces.join('')), isArray(pieces.join('')), pieces.join(''));
  }), { numRuns: 2000 });
  for (const text of ['', '[', ']', '[1', '[1,]', '[,1]', '[1 2]', '[]]', '[][]', '{}', '"[]"', '[1]x', '\ufeff[]', '[1,,2]', '["]']) t.notOk(isTaken(text), text);
  t.end();
});

t.test('a name that is escaped is the same name', (t) => {
  const text = '{"topic":"a","d\\u0061ta":[1, 2],"n":{"data":3}}';
  const span = memberSpan(text, 'data')!;
  t.equal(text.slice(span.start, span.end), '[1, 2]');
  t.equal(memberSpan('{"a":{"data":1}}', 'data'), undefined, 'members of members do not count');
  t.equal(memberSpan('{}', 'data'), undefined);
  t.equal(memberSpan('{"__proto__":{"data":1}}', 'data'), undefined);
  t.end();
});

t.test('a member that is there twice is refused, however it is written', (t) => {
  for (const [text, member] of [['{"data":1,"data":2}', 'data'], ['{"data":1,"d\\u0061ta":2}', 'data'], ['{"a":1,"data":2, "a" :3}', 'a'], ['{"__proto__":1,"__proto__":2}', '__proto__']] as const) {
    t.throws(() => memberSpan(text, 'data'), new DuplicateMember(member), text);
  }
  t.end();
});

t.test('nesting costs no stack', (t) => {
  const depth = 2_000_000;
  const data = '['.repeat(depth) + ']'.repeat(depth);
  const text = `{"data":${data}}`;
  t.same(memberSpan(text, 'data'), { start: 8, end: 8 + 2 * depth });
  t.equal([...elementSpans(`[${data}]`)].length, 1);
  t.end();
});

t.test('an element that is too long is not read to its end', (t) => {
  for (const element of ['['.repeat(10_000), '{"a":1,'.repeat(1_000), '1'.repeat(10_000)]) {
    const { value } = elementSpans(`[${element}`, 100).next();
    t.ok(value!.end - value!.start > 100 && value!.end - value!.start < 120, element.slice(0, 10));
  }
  t.same([...elementSpans(`[${'1'.repeat(100)}]`, 100)].length, 1, 'one that is just not is');
  t.end();
});
