import fc from 'fast-check';
import { t } from 'tap';
import type { Receipt } from '../../../src/log/publisher/receipt.ts';
import { requestBytes } from '../../support/raw.ts';
import { fakeService } from '../../support/service.ts';
import { connectTo, serve, turns } from './ways.ts';

/** Requests of all kinds, one after the other, in whatever pieces they come and however long the service takes: each is carried out once, in order. */

interface Kind {
  readonly bytes: (text: string) => Buffer;
  readonly status: number;
  readonly publishes: boolean;
}

const LONG = 'x'.repeat(30_000);
const LONGER = 'x'.repeat(150_000);
const KINDS: Readonly<Record<string, Kind>> = {
  plain: { status: 201, publishes: true, bytes: (text) => requestBytes('POST', '/topics/a', {}, text) },
  'long and plain': { status: 201, publishes: true, bytes: (text) => requestBytes('POST', '/topics/a', {}, `${text} ${LONG}`) },
  'longer than one read': { status: 201, publishes: true, bytes: (text) => requestBytes('POST', '/topics/a', {}, `${text} ${LONGER}`) },
  chunked: { status: 201, publishes: true, bytes: (text) => Buffer.from(`POST /topics/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`) },
  'with a body that looks like a request': { status: 201, publishes: true, bytes: (text) => requestBytes('POST', '/topics/a', {}, `${text}\r\n\r\nPOST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx`) },
  odd: { status: 200, publishes: false, bytes: () => requestBytes('GET', '/healthz') },
  refused: { status: 400, publishes: false, bytes: () => requestBytes('POST', '/topics/a..b', {}, 'x') },
  nowhere: { status: 404, publishes: false, bytes: () => requestBytes('GET', '/nowhere', { 'X-Padding': LONG.slice(0, 9000) }) },
};

const plan = fc.record({
  kinds: fc.array(fc.oneof({ arbitrary: fc.constant('plain'), weight: 3 }, fc.constantFrom(...Object.keys(KINDS))), { minLength: 1, maxLength: 8 }),
  /** Where the bytes are cut: a share of their length, or right between two requests. */
  cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 }),
  between: fc.boolean(),
  /** What is waited for after each piece: nothing, some turns of the event loop, or that the server has read it. */
  pauses: fc.array(fc.constantFrom(0, 1, 3, -1), { minLength: 1, maxLength: 5 }),
  /** In how many turns each publish is stored. */
  delays: fc.array(fc.constantFrom(0, 0, 1, 5, 20), { minLength: 1, maxLength: 5 }),
  /** Whether the client closes its side after the last piece. */
  ends: fc.boolean(),
});

async function turn(count: number): Promise<void> {
  for (let index = 0; index < count; index++) await new Promise((resolve) => setImmediate(resolve));
}

t.test('requests in any pieces are carried out once and answered in order', async (t) => {
  let published: string[] = [];
  let delays: readonly number[] = [0];
  const served = await serve(t, fakeService({ publisher: { publish: async (_grant, [draft]): Promise<Receipt> => {
    published.push(Buffer.from(draft!.data).toString().split(/[ \r]/, 1)[0]!);
    const first = published.length;
    await turn(delays[first % delays.length]!);
    return { epoch: 'abcdefgh', first, time: 0, replayed: false };
  } } }, { MESSAGE_BYTES: '200000' }));

  await fc.assert(fc.asyncProperty(plan, async ({ kinds, cuts, between, pauses, delays: those, ends }) => {
    published = [];
    delays = those;
    const requests = kinds.map((kind, index) => KINDS[kind]!.bytes(`text-${index}`));
    const bytes = Buffer.concat(requests);
    const borders = requests.map((_, index) => requests.slice(0, index + 1).reduce((sum, { length }) => sum + length, 0));
    const places = [...new Set([...cuts.map((share) => Math.floor(share * bytes.length)), ...(between ? borders : []), bytes.length])].filter((place) => place > 0).sort((a, b) => a - b);
    const pair = await connectTo(t, served);
    let at = 0;
    for (const [index, place] of places.entries()) {
      pair.client.send(bytes.subarray(at, place));
      at = place;
      const pause = pauses[index % pauses.length]!;
      if (pause === -1) await turns('the piece is read', () => pair.server.bytesRead >= at || pair.server.isPaused());
      else await turn(pause);
    }
    if (ends) pair.client.end();
    else await pair.client.answered(kinds.length, ...kinds.map(() => 'GET'));
    if (ends) await pair.client.untilClosed();
    const answers = pair.client.answers(...kinds.map(() => 'GET'));
    const expected = kinds.map((kind) => KINDS[kind]!.status);
    const statuses = answers.map(({ status }) => status);
    const texts = kinds.flatMap((kind, index) => (KINDS[kind]!.publishes ? [`text-${index}`] : []));
    // Whoever closes its side may not get all answers, but none is out of order, and nothing was carried out twice.
    const [wantedStatuses, wantedTexts] = ends ? [expected.slice(0, statuses.length), texts.slice(0, published.length)] : [expected, texts];
    if (statuses.join() !== wantedStatuses.join() || published.join() !== wantedTexts.join()) {
      throw new Error(`answered ${statuses.join()} instead of ${expected.join()}, stored ${published.join()} instead of ${texts.join()}`);
    }
    pair.client.destroy();
    await turns('the connection is gone', () => pair.server.destroyed);
  }), { numRuns: 400 });
  t.pass('in whatever pieces');
});
