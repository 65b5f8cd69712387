import fc from 'fast-check';
import { t } from 'tap';
import { jsonProblem } from '../../src/access/tokens/token-json.ts';
import { rounds } from '../support/rounds.ts';

const TWICE = 'an object in it has a name twice';

t.test('a name that one object has twice is found, however it is written and wherever it stands', (t) => {
  for (const json of ['{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '[{"b":{"a":1, "a" :2}}]', '{"":0,"":0}', '{"a:b":1,"a:b":2}', '{"\\"":1,"\\u0022":2}', '{"__proto__":1,"__proto__":2}', '{"toJSON":1,"toJSON":1}', '{"a":{"a":1},"a":{"a":1}}']) {
    t.equal(jsonProblem(json), TWICE, json);
  }
  for (const json of ['{}', '[]', '5', '":"', '{"a":{"a":1}}', '[{"a":1},{"a":1}]', '{"a":"a:1,\\"a\\":2"}', '{"a\\\\":":","b":"\\\\"}', '{"__proto__":{"x":1},"x":1}', '{"toJSON":":"}', '{ "a" : 1.50e3 , "b" : [ ] }']) t.equal(jsonProblem(json), undefined, json);
  t.end();
});

t.test('serialised JSON has no name twice, and with one more member it has', (t) => {
  fc.assert(fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 3, stringUnit: 'binary' }), { minKeys: 1 }), (value) => {
    const json = JSON.stringify(value);
    return jsonProblem(json) === undefined && jsonProblem(`${json.slice(0, -1)},${JSON.stringify(Object.keys(value)[0])}:0}`) === TWICE;
  }), { numRuns: rounds(300, 20_000) });
  t.end();
});

t.test('JSON that is nested too deeply is refused before anything walks through it', (t) => {
  t.equal(jsonProblem(`${'['.repeat(16)}${']'.repeat(16)}`), undefined);
  t.equal(jsonProblem('[[],[],[[]]]'), undefined);
  for (const levels of [17, 100_000]) for (const [open, close] of [['[', ']'], ['{"a":', '}']] as const) t.match(jsonProblem(`${open.repeat(levels)}0${close.repeat(levels)}`), /nested deeper than 16 levels/);
  t.end();
});
