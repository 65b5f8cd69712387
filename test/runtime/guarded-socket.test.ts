import { Socket } from 'node:net';
import t from 'tap';
import { guardSocket } from '../../src/runtime/sockets/guarded-socket.ts';
import { until } from '../support/until.ts';

/** Messages of a length, in one byte, and so many bytes. 0 is no length. */
function framing(bytes: Buffer): number {
  if (bytes[0] === 0) throw new Error('no length');
  return 1 + bytes[0]!;
}

function guarded(): { readonly socket: Socket; readonly messages: string[]; readonly errors: string[] } {
  const socket = new Socket();
  const [messages, errors]: [string[], string[]] = [[], []];
  guardSocket(socket, framing);
  socket.on('data', (bytes: Buffer) => messages.push(bytes.toString('latin1', 1)));
  socket.on('error', ({ message }) => errors.push(message));
  return { socket, messages, errors };
}

t.test('the library gets whole messages, however they come', async (t) => {
  const bytes = Buffer.from('\x01a\x03bcd\x05efghi\x02jk', 'latin1');
  for (let size = 1; size <= bytes.length; size++) {
    const { socket, messages } = guarded();
    for (let at = 0; at < bytes.length; at += size) socket.emit('data', bytes.subarray(at, at + size));
    t.same(messages, ['a', 'bcd', 'efghi', 'jk'], `${size} at a time`);
    socket.destroy();
  }
});

t.test('what the library was handed stays as it was', async (t) => {
  const { socket } = guarded();
  const kept: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => kept.push(bytes));
  for (const part of ['\x03a', 'b', 'c\x03d', 'e', 'f\x03g', 'hi']) socket.emit('data', Buffer.from(part, 'latin1'));
  t.same(kept.map((bytes) => bytes.toString('latin1', 1)), ['abc', 'def', 'ghi']);
  socket.destroy();
});

t.test('a malformed message destroys the socket, and what follows it is not read', async (t) => {
  const { socket, messages, errors } = guarded();
  socket.emit('data', Buffer.from('\x01a\0\x01b', 'latin1'));
  await until('it is reported', () => errors.length > 0);
  t.same([messages, errors, socket.destroyed], [['a'], ['no length'], true]);
});

t.test('what a listener throws destroys the socket, and what follows is not read', async (t) => {
  const { socket, messages, errors } = guarded();
  socket.on('data', () => {
    throw new Error('of the library');
  });
  socket.emit('data', Buffer.from('\x01a\x01b', 'latin1'));
  await until('it is reported', () => errors.length > 0);
  t.same([messages, errors, socket.destroyed], [['a'], ['of the library'], true]);
});
