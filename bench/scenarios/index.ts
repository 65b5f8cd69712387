import { burst } from './burst.ts';
import { buses } from './buses.ts';
import { comeback } from './comeback.ts';
import { fanout } from './fanout.ts';
import { growth } from './growth.ts';
import { memory } from './memory.ts';
import { opening } from './opening.ts';
import { patterns } from './patterns.ts';
import { presence } from './presence.ts';
import { publish } from './publish.ts';
import { redis } from './redis.ts';
import { replay } from './replay.ts';
import { rolling } from './rolling.ts';
import { saturation } from './saturation.ts';
import type { Scenario } from './scenario.ts';
import { sizing } from './sizing.ts';
import { slow } from './slow.ts';
import { soak } from './soak.ts';
import { storm } from './storm.ts';
import { topics } from './topics.ts';
import { websockets } from './websockets.ts';
import { workers } from './workers.ts';

/** All there are, in the order in which they run and stand on the page. */
export const scenarios: readonly Scenario[] = [
  fanout, saturation, burst, memory, opening, topics, patterns, presence, publish, redis, buses, websockets, storm, comeback, rolling, slow, replay, growth, soak, sizing, workers,
];
