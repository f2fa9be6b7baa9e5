-- Delete elements of one collection of a queue, or a string, as they were found, even when Redis is out of
-- memory.
--
-- KEYS  1 the collection   2 lock of the queue's scheduler   3 audit stream   4… keys that must not exist
-- ARGV  1 name of the collection in the table of types       2 audit maxlen   3 audit event
--       then a list: each element and, after it, its score in a sorted set, its value in a hash, '' in a set;
--       of a string, when it expires, in epoch milliseconds ('' for never), and its value.
--       An empty list is recorded as well
--
-- Returns {1}      done
--         {-1}     an element has gone or changed
--         {-2}     a scheduler is advancing definitions, and could undo this change
--         {-3, i}  KEYS[i] exists
--         {-9, i}  KEYS[i] is of a wrong type
for i = 4, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    return {-3, i}
  end
end
local key, bad = named_keys(ARGV[1] .. ' lock audit')
if bad then
  return bad
end
if ARGV[1] == 'repeatables' and redis.call('EXISTS', key.lock) == 1 then
  return {-2}
end
local collection, kind = key[ARGV[1]], TYPES[ARGV[1]]

local function is_as_found(element, value)
  if kind == 'zset' then
    local score = redis.call('ZSCORE', collection, element)
    return score and tonumber(score) == tonumber(value)
  elseif kind == 'hash' then
    return redis.call('HGET', collection, element) == value
  elseif kind == 'set' then
    return redis.call('SISMEMBER', collection, element) == 1
  end
  return redis.call('GET', collection) == value
end

local TAKES = {zset = 'ZREM', hash = 'HDEL', set = 'SREM'}
local found = members_at(4)
for i = 1, #found, 2 do
  if not is_as_found(found[i], found[i + 1]) then
    return {-1}
  end
  if kind == 'string' then
    take('DEL', collection)
  else
    take(TAKES[kind], collection, found[i])
  end
end
return commit(key.audit, ARGV[2], ARGV[3], 'frees')
