-- Remove a queue's pause mark, of any type: workers only check that it exists.
--
-- KEYS  1 pause mark   2 audit stream
-- ARGV  1 audit maxlen 2 audit event
--
-- Returns {1}      done
--         {0}      the queue was not paused; nothing was written
--         {-9, i}  KEYS[i] is of a wrong type
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {0}
end
TYPES.paused = redis.call('TYPE', KEYS[1])['ok']
local key, bad = named_keys('paused audit')
if bad then
  return bad
end
take('DEL', key.paused)
return commit(key.audit, ARGV[1], ARGV[2], 'frees')
