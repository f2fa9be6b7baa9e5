-- Put elements back into one collection of a queue, or a string. What is there already stays as it is.
--
-- KEYS  1 the collection   2 lock of the queue's scheduler   3 audit stream
-- ARGV  1 name of the collection in the table of types       2 audit maxlen   3 audit event
--       then a list: each element and, after it, its score or its value, as in queue_clear.lua
--
-- Returns {1}      done
--         {0}      all of it is there already; nothing was written
--         {-2}     a scheduler is advancing definitions, and could undo this change
--         {-9, i}  KEYS[i] is of a wrong type
local key, bad = named_keys(ARGV[1] .. ' lock audit')
if bad then
  return bad
end
if ARGV[1] == 'repeatables' and redis.call('EXISTS', key.lock) == 1 then
  return {-2}
end
local collection, kind = key[ARGV[1]], TYPES[ARGV[1]]
local is_missing = false

local function put(element, value)
  if kind == 'zset' and not redis.call('ZSCORE', collection, element) then
    write('ZADD', collection, value, element)
  elseif kind == 'hash' and redis.call('HEXISTS', collection, element) == 0 then
    write('HSET', collection, element, value)
  elseif kind == 'set' and redis.call('SISMEMBER', collection, element) == 0 then
    write('SADD', collection, element)
  elseif kind == 'string' and redis.call('EXISTS', collection) == 0 then
    if element == '' then
      write('SET', collection, value)
    else
      write('SET', collection, value, 'PXAT', element)
    end
  else
    return
  end
  is_missing = true
end

local given = members_at(4)
for i = 1, #given, 2 do
  put(given[i], given[i + 1])
end
if not is_missing then
  return {0}
end
return commit(key.audit, ARGV[2], ARGV[3])
