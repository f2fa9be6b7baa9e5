-- Put one member, or none, in the place of all members of one repeatable definition.
--
-- KEYS  1 repeatables zset   2 lock of the queue's scheduler   3 audit stream
-- ARGV  1 how many members the zset had                        2 new member ('' for none)
--       3 its score          4 audit maxlen                    5 audit event
--       then a list, its length and its items: each member found and, after it, its score
--
-- Returns {1}      done
--         {-1}     a member has gone or has another score, or others have come or gone
--         {-2}     a scheduler is advancing definitions: between the commands with which it does
--                  so, what is changed here would be undone or doubled
--         {-9, i}  KEYS[i] is of a wrong type
local bad = wrong_type({'zset', 'string', 'stream'})
if bad then
  return {-9, bad}
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  return {-2}
end
if redis.call('ZCARD', KEYS[1]) ~= tonumber(ARGV[1]) then
  return {-1}
end
local found = members_at(6)
for i = 1, #found, 2 do
  local score = redis.call('ZSCORE', KEYS[1], found[i])
  if not score or tonumber(score) ~= tonumber(found[i + 1]) then
    return {-1}
  end
end

record_event(KEYS[3], ARGV[4], ARGV[5])
for i = 1, #found, 2 do
  redis.call('ZREM', KEYS[1], found[i])
end
if ARGV[2] ~= '' then
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2])
end
return {1}
