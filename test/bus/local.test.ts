import t from 'tap';
import { LocalBus } from '../../src/bus/local.ts';
import { busContract } from '../contract/bus.ts';

busContract(async () => ({ name: 'local', make: () => new LocalBus(), alone: 'there is one process only' }));

t.test('it says that there is one process only', async (t) => {
  t.equal(new LocalBus().state, 'local');
});
