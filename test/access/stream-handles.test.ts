import t from 'tap';
import { isStreamSecret, proofOf, StreamHandles } from '../../src/access/leases/stream-handles.ts';

/** Numbers of the first two lots of secrets, and of one far away. */
const NUMBERS = [...Array.from({ length: 520 }, (_, number) => number), 2 ** 40, 2 ** 40 + 1];

t.test('each stream of each process has a secret of its own, the same whenever it is asked for', async (t) => {
  const [one, other] = [new StreamHandles(), new StreamHandles()];
  const secrets = NUMBERS.map((number) => one.of(number).secret);
  t.ok(secrets.every(isStreamSecret));
  t.equal(new Set([...secrets, ...NUMBERS.map((number) => other.of(number).secret)]).size, 2 * NUMBERS.length);
  t.same(NUMBERS.toReversed().map((number) => one.of(number).secret).toReversed(), secrets);
});

t.test('a proof is that of one stream', async (t) => {
  const handles = new StreamHandles();
  const proof = proofOf(handles.of(255).secret);
  t.same([255, 254, 256, 0].map((number) => handles.isProof(number, proof)), [true, false, false, false]);
  t.notOk(handles.isProof(255, proof.subarray(1)));
});

t.test('an id says which stream it is, and whether it is one of this process', async (t) => {
  const [one, other] = [new StreamHandles(), new StreamHandles()];
  const { id } = one.of(4711);
  t.match([one.read(id), other.read(id)], [{ isHere: true, number: 4711 }, { isHere: false, number: 4711 }]);
  for (const text of ['', id.slice(1), `${id}-`, id.toUpperCase(), `${id}00000000000`, id.replace('-', '')]) t.equal(one.read(text), undefined, text);
});
