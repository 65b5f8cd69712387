import t from 'tap';
import { REPLY_MAX_BYTES, replyFraming, type Conversation } from '../../../src/bus/redis/reply-framing.ts';

/** What comes of a text: where its first reply ends, or why it is refused. */
function read(text: string, question: string | null = 'ping', isSubscriber = false): number | string {
  const conversation: Conversation = { question: question ?? undefined, isSubscriber };
  try {
    return replyFraming(() => conversation)(Buffer.from(text, 'latin1'));
  } catch (error) {
    return (error as Error).message;
  }
}

const MESSAGE = '3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n';
const SUBSCRIBED = '3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n';
const HELLO = '%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n$7\r\nmodules\r\n*1\r\n%1\r\n$4\r\nargs\r\n*0\r\n';

t.test('whole replies pass, one at a time, and parts of them wait', async (t) => {
  for (const reply of ['+OK\r\n', '-ERR no\r\n', ':-5\r\n', '$-1\r\n', '$2\r\nhi\r\n', '$0\r\n\r\n', '*0\r\n', '*-1\r\n', '_\r\n', '=6\r\ntxt:ok\r\n', '*2\r\n*1\r\n:1\r\n$-1\r\n', HELLO]) {
    t.equal(read(`${reply}+OK\r\n`), reply.length, JSON.stringify(reply));
    for (let length = 1; length < reply.length; length++) t.ok((read(reply.slice(0, length)) as number) > length, `${length} of ${JSON.stringify(reply)}`);
  }
});

t.test('a message passes at any time, and nothing else without a question', async (t) => {
  t.equal(read(`>${MESSAGE}`, null), MESSAGE.length + 1);
  t.equal(read(`*${MESSAGE}`, null, true), MESSAGE.length + 1);
  for (const text of ['$-1\r\n', '+OK\r\n', '-ERR no\r\n', `*${MESSAGE}`, `>${SUBSCRIBED}`, '>0\r\n', `>${MESSAGE}`.replace('$2\r\nhi', '$-1')]) {
    t.match(read(text, null), /answers no command/, JSON.stringify(text));
  }
});

t.test('SUBSCRIBE is answered by its own form, or an error', async (t) => {
  for (const type of ['>', '*']) t.equal(read(type + SUBSCRIBED, 'subscribe'), SUBSCRIBED.length + 1);
  t.equal(read('-NOPERM\r\n', 'subscribe'), 9);
  for (const text of ['$-1\r\n', ':1\r\n', '+OK\r\n', '*0\r\n', `>${SUBSCRIBED}`.replace('$1\r\nc', '$-1')]) t.match(read(text, 'subscribe'), /answered SUBSCRIBE with something else/, JSON.stringify(text));
});

t.test('push messages that nobody asked for are refused, and lists to a subscriber', async (t) => {
  for (const text of [`>${SUBSCRIBED}`, '>0\r\n', '>1\r\n$-1\r\n', '>2\r\n$10\r\ninvalidate\r\n$-1\r\n']) t.match(read(text), /push message that nobody asked for/);
  for (const text of ['*0\r\n', '*1\r\n$-1\r\n', '*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n']) t.match(read(text, 'ping', true), /subscriber/);
  t.equal(read('*2\r\n$4\r\npong\r\n$0\r\n\r\n', 'ping', true), 20);
});

t.test('announced lengths are bounded, and refused before the bytes come', async (t) => {
  for (const text of ['$4294967295\r\n', '*4294967295\r\n', '*10001\r\n', '%30000000\r\n', '*1\r\n'.repeat(10), `$${REPLY_MAX_BYTES + 1}\r\n`, '$99999999999999999999\r\n', `:${'9'.repeat(30)}\r\n`]) t.type(read(text), 'string', text.slice(0, 30));
  const large = REPLY_MAX_BYTES - 100;
  t.type(read(`*2\r\n$${large}\r\n${'x'.repeat(large)}\r\n$${large}\r\n`), 'string', 'in one reply');
  // An envelope of the largest kind passes.
  const envelope = `>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1048576\r\n${'x'.repeat(1_048_576)}\r\n`;
  t.equal(read(envelope, null), envelope.length);
  t.ok(REPLY_MAX_BYTES <= 4 * 1024 * 1024, 'and no more than some MiB is kept of one that does not end');
});

t.test('bytes that are no reply are refused', async (t) => {
  for (const text of ['\r\n', 'HTTP/1.1 400\r\n', '$2\r\nhi!\r', '$x\r\n', '$-2\r\n', ':\r\n', ':1x\r\n', '+a\rb\r\n', '_x\r\n', '*1\r\n>0\r\n', '*1\r\n-ERR\r\n', '=3\r\ntxt\r\n', '#t\r\n', ',1\r\n', '(1\r\n', '~0\r\n', '|0\r\n', '!3\r\nERR\r\n']) {
    t.type(read(text), 'string', JSON.stringify(text));
  }
});

t.test('a reply that comes in tiny pieces is given up, and one in packets of a network is not', async (t) => {
  const values = 10_000;
  const reply = Buffer.from(`*${values - 1}\r\n${':1\r\n'.repeat(values - 1)}`);
  /** How many pieces are taken before the reply is whole, or refused. */
  const pieces = (bytes: number): number | string => {
    const framing = replyFraming(() => ({ question: 'info', isSubscriber: false }));
    try {
      for (let count = 1; ; count++) if (framing(reply.subarray(0, count * bytes)) <= count * bytes) return count;
    } catch (error) {
      return (error as Error).message;
    }
  };
  t.equal(pieces(1_400), Math.ceil(reply.length / 1_400));
  t.match(pieces(1), /in too many pieces/);
});

t.test('a line without an end is refused before it fills the memory', async (t) => {
  t.ok((read(`+${'x'.repeat(1_000_000)}`) as number) > 1_000_001);
  t.match(read(`+${'x'.repeat(1_100_000)}`), /malformed/);
});
