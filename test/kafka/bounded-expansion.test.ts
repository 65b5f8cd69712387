import { compressionsAlgorithms } from '@platformatic/kafka';
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { boundExpansion, EXPANDED_MAX_BYTES, ExpandsTooFar } from '../../src/kafka/bounded-expansion.ts';

boundExpansion();

t.test('what is small expands as before', async (t) => {
  const text = Buffer.from('a text '.repeat(30_000));
  for (const name of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
    const { compressSync, decompressSync } = compressionsAlgorithms[name];
    t.ok(decompressSync(compressSync(text)).equals(text), name);
  }
  await turn();
});

t.test('what expands too far is refused, one batch alone or several together', async (t) => {
  const { gzip, zstd, snappy, lz4 } = compressionsAlgorithms;
  for (const { compressSync, decompressSync } of [gzip, zstd]) {
    const half = compressSync(Buffer.alloc(EXPANDED_MAX_BYTES / 2));
    const more = compressSync(Buffer.alloc(EXPANDED_MAX_BYTES / 2 + 1));
    t.equal(decompressSync(half).length, EXPANDED_MAX_BYTES / 2);
    t.throws(() => decompressSync(more), ExpandsTooFar);
    await turn();
    t.equal(decompressSync(more).length, EXPANDED_MAX_BYTES / 2 + 1, 'each answer has the whole bound');
    await turn();
  }
  // A length of 512 MiB, and blocks of 4 MiB each.
  t.throws(() => snappy.decompressSync(Buffer.from([0x80, 0x80, 0x80, 0x80, 0x02, 0x00])), ExpandsTooFar);
  const block = Buffer.alloc(4 + 20_000);
  block.writeUInt32LE(20_000);
  t.throws(() => lz4.decompressSync(Buffer.concat([Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73]), ...Array.from({ length: 40 }, () => block)])), ExpandsTooFar);
  t.throws(() => lz4.decompressSync(Buffer.from('no frame at all')), /no frame/);
});
