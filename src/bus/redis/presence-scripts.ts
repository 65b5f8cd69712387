/**
 * The scripts that Redis runs for presence, each at one time. An instance writes under a name that lives once (`lease`). When its lease has ended, or it had to begin again, it takes another name. Entries under the old
 * one does not count any more. The names are in a sorted set, by the time when their leases end, which is negative while an instance has not written everything yet.
 *
 * A topic has three keys. `members`: its members, in the order of their bytes. `lines`: for each of them a line of each instance: its name, streams, since, when the metadata was given, and the metadata, with tabs between.
 * `streams`: all streams of each instance. A member has the sorted set of its topics. An instance has the set of what it wrote: a topic, NUL, and a member. `changed` has the topics that have changed, by the number of their
 * last change.
 */

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** How many topics that have changed are remembered. Stops the list from growing for ever: an instance that asks later reads everything. */
const CHANGED_MAX_ENTRIES = 10_000;

/**
 * Writes changes of one instance. Keys: the leases. The others are made here, from what their names begin with: named by the instance, they would be two thirds of what it sends. Values: that beginning, the instance, how long
 * keys are kept, whether its lease has ended on purpose (a sweep), and a JSON array with eight values for each change: topic, member, streams of the topic, whether it is present, streams, since, when the metadata was given,
 * metadata. The answer is 0 where the lease has ended: nothing was written.
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

/** Everything was written: the new name counts from now on, and the old one no longer. Values: the name, milliseconds, the one before or nothing. The answer is 0 where the lease has ended. */
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

/** Prolongs a lease, or sets its end. Values: the name, milliseconds, how long keys are kept, how many names to answer with. The answer is whether it had not ended, and names whose leases have. */
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

/** The last value is the name of the instance that asks. The first thing in the answer is whether that counts: it does not where Redis has forgotten it, and so maybe the others. */
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

/** Members of a topic. Keys: the leases, `lines`, `members`, `streams`. Values: after which one, how many, and who asks. The answer is whether the asker counts, the streams, and then each member and its lines. */
export const PAGE = `${ALIVE}
answer[2] = tostring(sum(KEYS[4]))
for _, member in ipairs(redis.call('ZRANGEBYLEX', KEYS[3], ARGV[1] == '' and '-' or '(' .. ARGV[1], '+', 'LIMIT', 0, ARGV[2])) do
  answer[#answer + 1] = member
  answer[#answer + 1] = living(redis.call('HGET', KEYS[2], member))
end
return answer
`;

/** Counts. Keys: the leases; then `members` and `streams` of each topic. Values: who asks. The answer is whether the asker counts, and the streams and the members of each. */
export const COUNT = `${ALIVE}
for at = 2, #KEYS, 2 do
  answer[#answer + 1] = tostring(sum(KEYS[at + 1]))
  answer[#answer + 1] = tostring(redis.call('ZCARD', KEYS[at]))
end
return answer
`;

/** The lines of a member at some topics. Keys: the leases; then `lines` of each topic. Values: the member, and who asks. The answer is whether the asker counts, and the lines of each. */
export const LINES = `${ALIVE}
for at = 2, #KEYS do
  answer[#answer + 1] = living(redis.call('HGET', KEYS[at], ARGV[1]))
end
return answer
`;

/** The changes after a number. Keys: `changed` and its numbers. Values: the number. The answer is the newest number, whether anything may have changed, and otherwise the topics. */
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
