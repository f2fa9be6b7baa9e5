-- Delete the waiting sequence of a queue that has no other key.
--
-- KEYS  1 waiting sequence   2 audit stream   3… every other key by which a queue is known
-- ARGV  1 audit maxlen       2 audit event
--
-- Returns {1}      done
--         {0}      there is no sequence; nothing was written
--         {-1, i}  KEYS[i] exists
--         {-9, i}  KEYS[i] is of a wrong type
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {0}
end
for i = 3, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    return {-1, i}
  end
end
local key, bad = named_keys('sequence audit')
if bad then
  return bad
end
take('DEL', key.sequence)
return commit(key.audit, ARGV[1], ARGV[2], 'frees')
