-- Set a queue's pause mark, even when Redis is out of memory.
--
-- KEYS  1 pause mark   2 audit stream
-- ARGV  1 audit maxlen 2 audit event
--       3 milliseconds after which the mark expires ('' for never)
--
-- Returns {1}      done
--         {0}      the queue was paused already; nothing was written
--         {-9, i}  KEYS[i] is of a wrong type
if redis.call('EXISTS', KEYS[1]) == 1 then
  return {0}
end
local key, bad = named_keys('paused audit')
if bad then
  return bad
end
if ARGV[3] == '' then
  write('SET', key.paused, 1)
else
  write('SET', key.paused, 1, 'PX', ARGV[3])
end
return commit(key.audit, ARGV[1], ARGV[2], 'frees')
