import t from 'tap';
import { Deliveries, type Delivered } from '../../src/connectors/nats/deliveries.ts';

t.test('what comes again while the log is away is held once, and acknowledged once the log has it', async (t) => {
  const deliveries = new Deliveries<Delivered>();
  const acknowledged: number[] = [];
  let delivered = 0;
  const hear = (seq: number): void => deliveries.hear({ seq, info: { deliverySequence: ++delivered }, ack: () => acknowledged.push(seq) });
  for (let round = 0; round < 5; round++) for (const seq of [3, 4, 7]) hear(seq);
  t.equal(deliveries.inbox.length, 3);
  const taken = await deliveries.inbox.take();
  hear(3);
  hear(8);
  t.same(acknowledged, []);
  deliveries.stored(taken);
  t.same(acknowledged, [3, 4, 7]);
  hear(4);
  t.same(acknowledged, [3, 4, 7, 4], 'its acknowledgment was lost');
  t.same((await deliveries.inbox.take()).map(({ seq }) => seq), [8]);
  delivered += 1;
  hear(9);
  await t.rejects(deliveries.inbox.take(), /did not come/);
});
