import { Redis } from 'ioredis';
import type { Scope } from './temp.ts';
import { until } from './until.ts';

/** A client of Redis that is not ours. It goes on trying when its server is away, and says nothing of it. */
export function redisClient(t: Scope, { url }: { readonly url: string }): Redis {
  const redis = new Redis(url);
  redis.on('error', () => undefined);
  t.teardown(() => redis.disconnect());
  return redis;
}

/** Has Redis cut off its subscribers, until it cut off `count` of them. */
export async function cutSubscribers(admin: Redis, count: number): Promise<void> {
  let cut = 0;
  await until(`${count} subscribers were cut off`, async () => (cut += Number(await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub'))) >= count);
}
