import t from 'tap';
import { answerFraming } from '../../../src/store/postgres/connection/answer-framing.ts';

function said(type: string, body: string | Buffer = '', length = body.length + 4): Buffer {
  const head = Buffer.alloc(5, type);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, Buffer.from(body as string, 'latin1')]);
}

const READY = said('Z', 'I');
const ROW = said('D', Buffer.from('0003000000026869ffffffff00000000', 'hex'));

t.test('whole messages pass together, and the rest waits', async (t) => {
  const both = Buffer.concat([ROW, READY]);
  t.equal(answerFraming()(both), both.length);
  for (let length = 0; length < both.length; length++) {
    const end = answerFraming()(both.subarray(0, length));
    if (length < ROW.length) t.ok(end > length, `${length} bytes are no message`);
    else t.equal(end, ROW.length);
  }
});

t.test('rows and errors are sound, or refused', async (t) => {
  for (const body of ['', '00', 'ffff', '0001', '0001fffffffe', '000100000001', '00010000000161ff', '000200000000', '0001ffffeff8', '0000ff']) {
    t.throws(() => answerFraming()(Buffer.concat([said('D', Buffer.from(body, 'hex')), READY])), /malformed row/, body);
  }
  t.equal(answerFraming()(said('D', '\0\0')), 7);
  for (const type of ['E', 'N']) {
    for (const body of ['', 'S', 'SERROR', 'SERROR\0', 'SERROR\0\0x']) t.throws(() => answerFraming()(Buffer.concat([said(type, body), READY])), /malformed error/, body);
    t.equal(answerFraming()(said(type, 'SERROR\0C22003\0\0')), 5 + 15);
  }
});

t.test('types that nobody asked for are refused, and impossible lengths', async (t) => {
  for (const type of ['G', 'H', 'W', 'd', 'c', '1', '2', '3', 'n', 's', 't', 'v', 'V', '\0', 'x']) t.throws(() => answerFraming()(said(type)), /nobody asked for/, type);
  for (const length of [0, 3, 64 * 1024 * 1024 + 1, 0xffffffff]) t.throws(() => answerFraming()(said('D', '', length)), /announced a message of/, String(length));
});

t.test('an answer without an end is refused, and each answer is counted for itself', async (t) => {
  const framing = answerFraming();
  const notices = Buffer.concat(Array.from({ length: 100_000 }, () => said('N', 'Mx\0\0')));
  for (let round = 0; round < 10; round++) t.equal(framing(Buffer.concat([notices, READY])), notices.length + READY.length);
  t.throws(() => {
    for (let round = 0; round < 10; round++) framing(notices);
  }, /longer than/);
});
