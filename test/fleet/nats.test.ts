import { startNats } from '../support/nats.ts';
import { busFleet } from './bus-cases.ts';

busFleet((t) => startNats(t));
