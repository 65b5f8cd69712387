import { t } from 'tap';
import { cachedChunk } from '../../src/delivery/chunk-cache.ts';
import { Message } from '../../src/model/message.ts';
import { chunksOf } from '../support/chunks.ts';

function message(data: Buffer): Message {
  return new Message('abcdefgh12', 7, 1_700_000_000_000, 0, { topic: 'a.b', event: undefined, json: false, data });
}

t.test('what is kept with a message holds no memory but its own', (t) => {
  for (const form of ['data', 'object'] as const) {
    for (const text of ['x', 'two\nlines']) {
      const encoded = cachedChunk(message(Buffer.from(text)), form);
      t.equal(encoded.buffer.byteLength, encoded.length, `${form} ${text}`);
    }
  }
  t.end();
});

t.test('a frame is one chunk, encoded once, and holds the data of its message', (t) => {
  const one = message(Buffer.from('x'.repeat(5000)));
  const encoded = cachedChunk(one, 'data');
  t.equal(cachedChunk(one, 'data'), encoded);
  const [length] = encoded.toString('latin1').split('\r\n');
  t.equal(Number.parseInt(length!, 16), [...chunksOf(encoded)][0]!.length);
  t.ok(encoded.toString('latin1').endsWith('\n\n\r\n'));
  t.equal(Buffer.from(one.data).toString(), 'x'.repeat(5000));
  t.equal(one.data.buffer, encoded.buffer, 'the data is not held twice');
  t.end();
});
