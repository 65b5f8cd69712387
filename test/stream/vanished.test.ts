import t from 'tap';
import { startInstance } from '../support/instance.ts';
import { BY_PRIVATE_NETWORK, noPrivateNetwork, PrivateNetwork } from '../support/private-network.ts';
import { until } from '../support/until.ts';

/** More than the kernel's buffers hold, so that a client that does not read has a full socket. */
const LARGE_BYTES = 16 * 1024 * 1024;
/** Linux itself gives a connection up after 16 minutes. Milliseconds. */
const GONE_LIMIT = 300_000;

/** Seen to fail without the look at the kernel's table: the stream stayed open. */
t.test('a client that vanished without a word is gone, one that does not read is stalled, others stay, and nothing is lost', { skip: noPrivateNetwork() }, async (t) => {
  const instance = await startInstance(t, { HOST: '0.0.0.0', AUTH: 'off', STALL_SECONDS: '2', HEARTBEAT_SECONDS: '1', MESSAGE_BYTES: '16MiB' }, {
    by: BY_PRIVATE_NETWORK, ready: ({ output }) => output.includes('Tidings listens on'),
  });
  const network = await PrivateNetwork.join(t, instance);
  const vanishing = network.distant('/topics/small/events');
  const idle = network.distant('/topics/quiet/events');
  const paused = network.near('/topics/large/events');
  const reading = network.near('/topics/small/events');
  await Promise.all([vanishing, idle, paused, reading].map((client) => client.says('event: $open')));

  paused.kill('SIGSTOP');
  await network.publish('large', LARGE_BYTES);
  await until('the one that does not read is closed', async () => await network.metric('streams_stalled_total') === 1);
  t.equal(await network.metric('streams_cut_total{reason="gone"}'), 0);
  t.equal(await network.metric('streams'), 3);

  const [, id = ''] = vanishing.output.match(/^id: (.+)$/m) ?? [];
  await network.plug(false);
  await network.publish('small', 10);
  await until('both that vanished are gone', async () => await network.metric('streams_cut_total{reason="gone"}') === 2, GONE_LIMIT);
  t.equal(await network.metric('streams'), 1);
  t.equal(await network.metric('streams_stalled_total'), 1);
  await reading.says('data: xxxxxxxxxx');

  await network.plug(true);
  await network.distant('/topics/small/events', id).says('data: xxxxxxxxxx');
});
