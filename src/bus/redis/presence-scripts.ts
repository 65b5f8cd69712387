/**
 * The scripts that Redis runs for presence. Redis runs a script atomically. An instance writes under a random name with a lease. When its lease has ended, or it begins again, it takes a new name, and the entries under the
 * old name no longer count.
 *
 *     leases           sorted set: name of an instance → the end of its lease; negative until the instance has written everything (ACTIVATE)
 *     members:<topic>  sorted set: the members, in the order of their bytes
 *     lines:<topic>    hash: member → a line of each instance: its name, streams, since, time of the metadata, metadata, separated by tabs
 *     streams:<topic>  hash: name of an instance → its streams of the topic
 *     topics:<member>  sorted set: the topics of a member
 *     wrote:<name>     set: the entries that an instance wrote: a topic, NUL, and a member
 *     changed          sorted set: topic → the number of its last change
 *     numbers          the newest of these numbers
 */

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** The most topics in `changed`. Stops it from growing for ever: an instance that asks later reads everything. */
const CHANGED_MAX_ENTRIES = 10_000;

/**
 * Writes changes of one instance. Keys: `leases`. The script makes the other keys from their prefix, because as arguments they would be two thirds of what an instance sends. Values: the prefix, the instance, how long
 * keys are kept, whether this is a sweep (then the lease may have ended), and a JSON array. It has eight values for each change: topic, member, streams of the topic, whether the member is present, the member's streams, since,
 * time of the metadata, metadata. The answer is 0 if the lease has ended: nothing was written.
 */
export const WRITE = `${NOW}
local prefix, instance, kept, isSweep = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local lease = tonumber(redis.call('ZSCORE', KEYS[1], instance) or '0')
if not isSweep and math.abs(lease) <= now then
  return 0
end
local wrote, changed, numbers = prefix .. 'wrote:' .. instance, prefix .. 'changed', prefix .. 'numbers'
local changes, totals, listed, touched = cjson.decode(ARGV[5]), {}, {}, {}
for at = 1, #changes, 8 do
  local topic, member, isPresent = changes[at], changes[at + 1], changes[at + 3] == 1
  totals[topic] = changes[at + 2]
  if member ~= '' then
    local lines, members, topics = prefix .. 'lines:' .. topic, prefix .. 'members:' .. topic, prefix .. 'topics:' .. member
    local before = redis.call('HGET', lines, member) or ''
    local since, others = changes[at + 5], ''
    for line in string.gmatch(before, '[^\\n]+') do
      local writer, from = string.match(line, '^(%S+)\\t%d+\\t(%d+)')
      since = math.min(since, tonumber(from))
      if writer ~= instance then
        others = others .. line .. '\\n'
      end
    end
    local after = others
    if isPresent then
      after = others .. instance .. string.format('\\t%.0f\\t%.0f\\t%.0f\\t', changes[at + 4], since, changes[at + 6]) .. changes[at + 7] .. '\\n'
    end
    if after ~= before then
      touched[topic] = true
    end
    if after == '' then
      redis.call('HDEL', lines, member)
      redis.call('ZREM', members, member)
      redis.call('ZREM', topics, topic)
    elseif after ~= before then
      redis.call('HSET', lines, member, after)
      redis.call('ZADD', members, 0, member)
      redis.call('ZADD', topics, 0, topic)
      redis.call('PEXPIRE', topics, kept)
      listed[topic] = true
    end
  end
  redis.call(isPresent and 'SADD' or 'SREM', wrote, topic .. '\\0' .. member)
end
for topic in pairs(listed) do
  redis.call('PEXPIRE', prefix .. 'lines:' .. topic, kept)
  redis.call('PEXPIRE', prefix .. 'members:' .. topic, kept)
end
for topic, all in pairs(totals) do
  local streams = prefix .. 'streams:' .. topic
  if (tonumber(redis.call('HGET', streams, instance) or '') or 0) ~= all then
    touched[topic] = true
  end
  if all > 0 then
    redis.call('HSET', streams, instance, string.format('%.0f', all))
    redis.call('PEXPIRE', streams, kept)
  else
    redis.call('HDEL', streams, instance)
    redis.call('SREM', wrote, topic .. '\\0')
  end
end
redis.call('PEXPIRE', wrote, kept)
if next(touched) then
  local number = redis.call('INCR', numbers)
  for topic in pairs(touched) do
    redis.call('ZADD', changed, number, topic)
  end
  redis.call('ZREMRANGEBYRANK', changed, 0, -${CHANGED_MAX_ENTRIES + 1})
  redis.call('PEXPIRE', changed, kept)
  redis.call('PEXPIRE', numbers, kept)
end
return 1
`;

/** Begins a lease under a new name, before anything is written under it. Values: the name, milliseconds, how long keys are kept. */
export const BEGIN = `${NOW}
redis.call('ZADD', KEYS[1], -(now + tonumber(ARGV[2])), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
`;

/** Call it when an instance has written everything: its new name counts from now on, and its old name no longer. Values: the name, the length of the lease in milliseconds, the old name or ''. The answer is 0 if the lease has ended. */
export const ACTIVATE = `${NOW}
local lease = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
if math.abs(lease) <= now then
  return 0
end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
if ARGV[3] ~= '' and redis.call('ZSCORE', KEYS[1], ARGV[3]) then
  redis.call('ZADD', KEYS[1], 0, ARGV[3])
end
return 1
`;

/** Renews a lease, or sets its end. Values: the name, milliseconds from now, how long keys are kept, the most names in the answer. The answer is whether the lease had not ended, and names whose leases have ended. */
export const RENEW = `${NOW}
local lease = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
local isAlive = math.abs(lease) > now
if isAlive then
  local ends = now + tonumber(ARGV[2])
  redis.call('ZADD', KEYS[1], lease < 0 and -ends or ends, ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
local answer = redis.call('ZRANGEBYSCORE', KEYS[1], -now, now, 'LIMIT', 0, ARGV[4])
table.insert(answer, 1, isAlive and '1' or '0')
return answer
`;

/** The beginning of each script that reads. The last value is the name of the asking instance. The answer begins with whether its lease is active. If not, Redis may have lost the other entries too. */
const ALIVE = `${NOW}
local alive = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
local isAlive = {}
for _, instance in ipairs(alive) do
  isAlive[instance] = true
end
local answer = { isAlive[ARGV[#ARGV]] and '1' or '0' }
local function sum(key)
  local counts, all = redis.call('HGETALL', key), 0
  for at = 1, #counts, 2 do
    if isAlive[counts[at]] then
      all = all + tonumber(counts[at + 1])
    end
  end
  return all
end
local function living(lines)
  local found = {}
  for line in string.gmatch(lines or '', '[^\\n]+') do
    if isAlive[string.match(line, '^%S+')] then
      found[#found + 1] = line
    end
  end
  return table.concat(found, '\\n')
end
`;

/** Members of a topic. Keys: `leases`, `lines`, `members`, `streams`. Values: the member to begin after, how many, the asking instance. The answer is as in `ALIVE`, then the streams, then each member and its lines. */
export const PAGE = `${ALIVE}
answer[2] = tostring(sum(KEYS[4]))
for _, member in ipairs(redis.call('ZRANGEBYLEX', KEYS[3], ARGV[1] == '' and '-' or '(' .. ARGV[1], '+', 'LIMIT', 0, ARGV[2])) do
  answer[#answer + 1] = member
  answer[#answer + 1] = living(redis.call('HGET', KEYS[2], member))
end
return answer
`;

/** Counts of topics. Keys: `leases`; then `members` and `streams` of each topic. Values: the asking instance. The answer is as in `ALIVE`, then the streams and the members of each topic. */
export const COUNT = `${ALIVE}
for at = 2, #KEYS, 2 do
  answer[#answer + 1] = tostring(sum(KEYS[at + 1]))
  answer[#answer + 1] = tostring(redis.call('ZCARD', KEYS[at]))
end
return answer
`;

/** The lines of a member at some topics. Keys: `leases`; then `lines` of each topic. Values: the member, the asking instance. The answer is as in `ALIVE`, then the lines of each topic. */
export const LINES = `${ALIVE}
for at = 2, #KEYS do
  answer[#answer + 1] = living(redis.call('HGET', KEYS[at], ARGV[1]))
end
return answer
`;

/** The changes after a number. Keys: `changed` and `numbers`. Values: the number. The answer is the newest number; then 1 if any topic may have changed, or 0 and the changed topics. */
export const CHANGES = `
local after, newest = tonumber(ARGV[1]), tonumber(redis.call('GET', KEYS[2]) or '0')
if after == newest then
  return { tostring(newest), '0' }
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
if after > newest or not oldest or (redis.call('ZCARD', KEYS[1]) >= ${CHANGED_MAX_ENTRIES} and tonumber(oldest) > after) then
  return { tostring(newest), '1' }
end
local answer = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. after, '+inf')
table.insert(answer, 1, '0')
table.insert(answer, 1, tostring(newest))
return answer
`;
