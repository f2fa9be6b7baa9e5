-- Take a queue's pause mark away, of whatever type it is: workers only look whether it exists.
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
local bad = wrong_type({redis.call('TYPE', KEYS[1])['ok'], 'stream'})
if bad then
  return {-9, bad}
end
record_event(KEYS[2], ARGV[1], ARGV[2])
redis.call('DEL', KEYS[1])
return {1}
