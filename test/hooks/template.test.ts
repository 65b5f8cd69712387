import t from 'tap';
import { checkPointer, resolvePointer } from '../../src/hooks/pointer.ts';
import { MissingValue, Template } from '../../src/hooks/template.ts';

const headers = { 'x-github-event': 'push', 'x-empty': '' };
const body = { repository: { name: 'tidings.js', full_name: 'acme/tidings.js' }, type: 'invoice.paid', number: 7, ok: false, none: null, empty: '', list: ['a', 'b'], 'a/b': { 'c~d': 1 }, __proto__x: 'x' };

t.test('a template takes values of the body and the headers', (t) => {
  const source = { headers, body, element: { alert: 'down', type: 'of the element' } };
  const cases: readonly (readonly [template: string, text: string, topic: string])[] = [
    ['plain', 'plain', 'plain'],
    ['{body:/repository/name}', 'tidings.js', 'tidings_js'],
    ['github.{body:/repository/full_name}.{header:X-GitHub-Event}', 'github.acme/tidings.js.push', 'github.acme_tidings_js.push'],
    ['stripe.{+body:/type}', 'stripe.invoice.paid', 'stripe.invoice.paid'],
    ['{/alert}.{/type}', 'down.of the element', 'down.of_the_element'],
    ['n{body:/number}{body:/ok}', 'n7false', 'n7false'],
    ['{/nothing|body:/nothing|header:X-GitHub-Event}', 'push', 'push'],
    ['{header:X-Empty|body:/empty|body:/none|body:/list|=none}', 'none', 'none'],
    ['{body:/list/1}', 'b', 'b'],
    ['{body:/a~1b/c~0d}', '1', '1'],
  ];
  for (const [text, expected, topic] of cases) {
    const template = Template.parse(text);
    t.equal(template.text(source), expected, text);
    t.equal(template.topic(source), topic, text);
  }
  t.end();
});

t.test('no value brings what a topic must not have', (t) => {
  const template = Template.parse('a.{/v}');
  for (const value of ['*', '>', 'a b', 'a.b', '$x', 'a\nb', '../x', 'é\u202Ex', '%2e']) t.match(template.topic({ headers: {}, body: undefined, element: { v: value } }), /^a\.[\p{L}\p{N}_~:@+=-]+$/u, JSON.stringify(value));
  t.equal(Template.parse('{+/v}').topic({ headers: {}, body: undefined, element: { v: 'a..b' } }), 'a..b', 'an empty segment stays one: it is refused as a topic');
  t.end();
});

t.test('a value that is not there is said by its places', (t) => {
  for (const element of [undefined, null, 'text', 7, {}, [], { a: {} }, { a: { b: null } }, { a: { b: {} } }, { a: { b: '' } }]) t.throws(() => Template.parse('x.{/a/b|header:X-Nothing}').text({ headers, body: element, element }), new MissingValue('/a/b or header:X-Nothing'));
  for (const name of ['constructor', 'toString', '__proto__', 'length']) t.throws(() => Template.parse(`{/${name}}`).text({ headers, body: {}, element: {} }), MissingValue, name);
  t.end();
});

t.test('an invalid template is refused with the reason', (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /it is empty/],
    ['x'.repeat(501), /longer than 500 characters/],
    ['a.{/b', /braces do not match/],
    ['a.b}', /braces do not match/],
    ['{{/a}}', /braces do not match/],
    ['{}', /is neither a JSON pointer/],
    ['{name}', /\{name\} is neither a JSON pointer/],
    ['{/a|}', /\{\} is neither/],
    ['{header:}', /is neither/],
    ['{header:a b}', /is neither/],
    ['{/a~2}', /~ is written ~0/],
    ['{body:a}', /is neither/],
  ];
  for (const [text, why] of cases) t.throws(() => Template.parse(text), why, text);
  t.end();
});

t.test('JSON pointers follow RFC 6901', (t) => {
  const document = { foo: ['bar', 'baz'], '': 0, 'a/b': 1, 'c%d': 2, 'm~n': 8, ' ': 7 };
  const cases: readonly (readonly [string, unknown])[] = [['', document], ['/foo', ['bar', 'baz']], ['/foo/0', 'bar'], ['/', 0], ['/a~1b', 1], ['/c%d', 2], ['/m~0n', 8], ['/ ', 7], ['/foo/2', undefined], ['/foo/length', undefined]];
  for (const [pointer, value] of cases) t.same(resolvePointer(document, checkPointer(pointer)), value, pointer);
  t.throws(() => checkPointer('foo'), /begins with \//);
  t.end();
});
