import { t } from 'tap';
import { cachedChunk } from '../../src/delivery/frames/chunk-cache.ts';
import { Bundle } from '../../src/delivery/frames/frame-bundle.ts';
import { Message } from '../../src/model/message.ts';
import { chunksOf } from '../support/chunks.ts';

function message(data: Buffer): Message {
  return new Message('abcdefgh12', 7, 1_700_000_000_000, 0, { topic: 'a.b', event: undefined, json: false, data });
}

t.test('a chunk kept with a message holds no memory but its own', (t) => {
  for (const form of ['data', 'object'] as const) {
    for (const text of ['x', 'two\nlines']) {
      const encoded = cachedChunk(message(Buffer.from(text)), form).bytes;
      t.equal(encoded.buffer.byteLength, encoded.length, `${form} ${text}`);
    }
  }
  t.end();
});

t.test('a frame is one chunk, encoded once, and holds the data of its message', (t) => {
  const one = message(Buffer.from('x'.repeat(5000)));
  const chunk = cachedChunk(one, 'data');
  t.equal(cachedChunk(one, 'data'), chunk);
  const encoded = chunk.bytes;
  const [length] = encoded.toString('latin1').split('\r\n');
  t.equal(Number.parseInt(length!, 16), [...chunksOf(encoded)][0]!.length);
  t.ok(encoded.toString('latin1').endsWith('\n\n\r\n'));
  t.equal(Buffer.from(one.data).toString(), 'x'.repeat(5000));
  t.equal(one.data.buffer, encoded.buffer, 'the data is not held twice');
  t.end();
});

t.test('a form without names shares the frame of a message that has none, and keeps no other', (t) => {
  const unnamed = message(Buffer.from('x'));
  for (const form of ['data', 'object'] as const) t.equal(cachedChunk(unnamed, `${form}-unnamed`), cachedChunk(unnamed, form));
  const named = new Message('abcdefgh12', 7, 1_700_000_000_000, 0, { topic: 'a.b', event: 'e', json: false, data: Buffer.from('x') });
  for (const form of ['data', 'object'] as const) {
    const before = named.size;
    const without = cachedChunk(named, `${form}-unnamed`).data.toString();
    t.equal(named.size, before);
    t.equal(`event: e\n${without}`, cachedChunk(named, form).data.toString());
  }
  t.end();
});

t.test('clients of HTTP/1.0 are written the frame inside the chunk, without a copy, however many groups want the message', (t) => {
  for (const form of ['data', 'object'] as const) {
    const one = message(Buffer.from('x'.repeat(5000)));
    const [some, others] = [new Bundle([one], cachedChunk).bytes(form, false, true), new Bundle([one], cachedChunk).bytes(form, false, true)];
    const { bytes } = cachedChunk(one, form);
    t.equal(some.toString(), [...chunksOf(bytes)][0]!.toString(), form);
    t.ok([some, others].every(({ buffer }) => buffer === bytes.buffer), `${form}: it is encoded and held once`);
  }
  t.end();
});
