import { busContract } from '../../contract/bus.ts';
import { hubBus, openHub } from '../../support/hub.ts';

busContract(async (t) => {
  const { path } = await openHub(t);
  return { name: 'hub', make: () => hubBus(path).bus };
});
