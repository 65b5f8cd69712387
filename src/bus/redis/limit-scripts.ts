/**
 * The scripts that Redis runs for limits, atomically (https://redis.io/docs/latest/develop/programmability/eval-intro). Each answers a list of whole numbers.
 * They are sent in full, not by digest. A restarted Redis does not know the digest, and a script that is then sent again would run after later scripts.
 */

/**
 * Takes from buckets. A bucket is the time when it is full again, in microseconds; a full bucket has no key. Values: for each bucket the cost, and how far from full it may be before, or -1 for any.
 * The answer for each bucket, with `ahead` as how far from full it is: `ahead` if the cost was taken, otherwise `-1 - ahead`.
 */
export const SPEND = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answers = {}
for index, key in ipairs(KEYS) do
  local cost, within = tonumber(ARGV[2 * index - 1]), tonumber(ARGV[2 * index])
  local ahead = math.max(0, (tonumber(redis.call('GET', key) or '') or 0) - now)
  if within >= 0 and ahead > within then
    answers[index] = -1 - ahead
  else
    ahead = math.max(0, ahead + cost)
    if ahead > 0 then
      redis.call('SET', key, string.format('%.0f', now + ahead), 'PX', string.format('%.0f', math.ceil(ahead / 1000)))
    else
      redis.call('DEL', key)
    end
    answers[index] = ahead
  end
end
return answers
`;

/** Adds topics to those of a window, which begins with the first topic. Values: the length of the window in milliseconds, and the topics. */
export const COUNT_TOPICS = `
local key = KEYS[1]
for index = 2, #ARGV do
  redis.call('PFADD', key, ARGV[index])
end
if redis.call('PTTL', key) < 0 then
  redis.call('PEXPIRE', key, ARGV[1])
end
return { redis.call('PFCOUNT', key), redis.call('PTTL', key) }
`;

/** Renews the lease of an instance, in milliseconds; 0 ends it. The answer is whether the lease had not ended. */
export const RENEW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local key, instance, lease = KEYS[1], ARGV[1], tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
local known = redis.call('ZSCORE', key, instance)
if lease > 0 then
  redis.call('ZADD', key, now + lease, instance)
  redis.call('PEXPIRE', key, lease)
else
  redis.call('ZREM', key, instance)
end
return { known and 1 or 0 }
`;

/**
 * Sets how many places an instance holds. Keys: the leases of instances; then for each owner the places that each instance holds. Values: the instance, how long counts are kept; then for each owner
 * the places, and the most that all instances may hold together, or -1. The answer for each owner is 0 if that would be exceeded, and 1 otherwise. Counts of instances without a lease are deleted.
 */
export const HOLD = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local instance, kept = ARGV[1], ARGV[2]
local answers = {}
for index = 2, #KEYS do
  local key = KEYS[index]
  local places, most = tonumber(ARGV[2 * index - 1]), tonumber(ARGV[2 * index])
  local all = places
  local counts = redis.call('HGETALL', key)
  for at = 1, #counts, 2 do
    if counts[at] ~= instance then
      local lives = redis.call('ZSCORE', KEYS[1], counts[at])
      if lives and tonumber(lives) > now then
        all = all + (tonumber(counts[at + 1]) or 0)
      else
        redis.call('HDEL', key, counts[at])
      end
    end
  end
  if most >= 0 and all > most then
    answers[index - 1] = 0
  else
    if places > 0 then
      redis.call('HSET', key, instance, places)
      redis.call('PEXPIRE', key, kept)
    else
      redis.call('HDEL', key, instance)
    end
    answers[index - 1] = 1
  end
end
return answers
`;
