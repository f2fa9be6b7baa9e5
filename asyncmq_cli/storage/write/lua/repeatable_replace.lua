-- Replace all members of one repeatable definition by one member, or by none. A removal, and a
-- replacement that adds no more bytes than a pause does, work even when Redis is out of memory.
--
-- KEYS  1 repeatables zset   2 lock of the queue's scheduler   3 audit stream
-- ARGV  1 how many members the zset had                        2 new member ('' for none)
--       3 its score          4 audit maxlen                    5 audit event
--       then a list, its length and its items: each member found and, after it, its score
--
-- Returns {1}      done
--         {-1}     a member has gone or has another score, or others have come or gone
--         {-2}     a scheduler is advancing definitions, and could undo or double this change
--         {-9, i}  KEYS[i] is of a wrong type
local key, bad = named_keys('repeatables lock audit')
if bad then
  return bad
end
if redis.call('EXISTS', key.lock) == 1 then
  return {-2}
end
if redis.call('ZCARD', key.repeatables) ~= tonumber(ARGV[1]) then
  return {-1}
end
local found = members_at(6)
local PAUSE_MARK = #', "paused": true'
local longer = #ARGV[2] - PAUSE_MARK
for i = 1, #found, 2 do
  local score = redis.call('ZSCORE', key.repeatables, found[i])
  if not score or tonumber(score) ~= tonumber(found[i + 1]) then
    return {-1}
  end
  longer = longer - #found[i]
end

if ARGV[2] ~= '' then
  write('ZADD', key.repeatables, ARGV[3], ARGV[2])
end
for i = 1, #found, 2 do
  if found[i] ~= ARGV[2] then
    take('ZREM', key.repeatables, found[i])
  end
end
return commit(key.audit, ARGV[4], ARGV[5], longer <= 0 and 'frees')
