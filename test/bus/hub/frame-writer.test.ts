import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { FRAME, frameOf } from '../../../src/bus/hub/frames.ts';
import { FrameWriter } from '../../../src/bus/hub/frame-writer.ts';

/** How frames reach the system. */

t.test('frames of one turn go out together, in order; later ones go out by themselves', async (t) => {
  const writes: string[][] = [];
  const socket = new Duplex({
    read: () => undefined,
    writev: (chunks, done) => {
      writes.push((chunks as readonly { readonly chunk: Buffer }[]).map(({ chunk }) => chunk.toString('latin1', 5)));
      done();
    },
  });
  const writer = new FrameWriter(socket as unknown as Socket);
  const frame = (text: string): Buffer => frameOf(FRAME.note, Buffer.from(text));
  writer.talk(frame('a'));
  writer.hint(frame('b'));
  writer.talk(frame('c'));
  t.same(writes, []);
  await turn();
  await turn();
  t.same(writes, [['a', 'b', 'c']]);
  writer.hint(frame('d'));
  await turn();
  await turn();
  t.same(writes, [['a', 'b', 'c'], ['d']]);
});
