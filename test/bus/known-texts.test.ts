import fc from 'fast-check';
import t from 'tap';
import { KnownTexts } from '../../src/bus/known-texts.ts';

const padded = (text: string): Buffer => Buffer.from(`<<${text}>>`);
const readFrom = (texts: KnownTexts, text: string): string | undefined => texts.read(padded(text), 2, padded(text).length - 2);

t.test('a text that comes again is the same, and is checked once', async (t) => {
  const checked: string[] = [];
  const texts = new KnownTexts((text) => checked.push(text) > 0);
  for (let times = 0; times < 3; times++) t.equal(readFrom(texts, 'orders.new'), 'orders.new');
  t.same(checked, ['orders.new']);
});

t.test('any text is read as it is, whatever was read before', async () => {
  const texts = new KnownTexts(() => true);
  fc.assert(fc.property(fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '.', 'é', '日', '\u007f', '\u0080'), maxLength: 4 }), { maxLength: 50 }), (all) => all.every((text) => readFrom(texts, text) === text)));
});

t.test('texts that displace each other are still read as they are', async (t) => {
  const texts = new KnownTexts(() => true);
  const all = Array.from({ length: 10_000 }, (_, index) => `topic.${index}`);
  for (let times = 0; times < 2; times++) t.same(all.filter((text) => readFrom(texts, text) !== text), []);
});

t.test('bytes that are not UTF-8 are not taken for a text that was read before, wherever it is remembered', (t) => {
  const texts = new KnownTexts(() => true);
  const all = Array.from({ length: 20_000 }, (_, index) => `é${index}`);
  for (const text of all) readFrom(texts, text);
  const taken = all.filter((text) => {
    readFrom(texts, text);
    const bytes = Buffer.from(text, 'latin1');
    return texts.read(bytes, 0, bytes.length) !== undefined;
  });
  t.same(taken, []);
  t.end();
});

t.test('a text that may not be used, or is not UTF-8, is not read, at first and later', async (t) => {
  const texts = new KnownTexts((text) => !text.includes('*') && text !== '');
  for (let times = 0; times < 2; times++) {
    t.equal(readFrom(texts, 'a.*'), undefined);
    t.equal(readFrom(texts, ''), undefined);
    t.equal(texts.read(Buffer.of(0x61, 0xff), 0, 2), undefined);
    t.equal(texts.read(Buffer.from('é'), 0, 1), undefined);
  }
});
