import { join } from 'node:path';
import t from 'tap';
import { startRedis } from '../support/redis.ts';
import { tempFolder } from '../support/temp.ts';
import { presenceCases } from './presence-cases.ts';

const redis = await startRedis(t);
await presenceCases({ name: 'Redis', env: { DATABASE_URL: `file:${join(tempFolder(t), 'log.db')}`, REDIS_URL: redis.url }, stop: () => redis.stop(), start: () => redis.start(), isHeld: () => false });
