-- Take out what is left of a job that has no record and is in no zset as a whole.
--
-- KEYS  as in repair.lua
-- ARGV  as there; the lists are empty
--
-- Returns {1}      done
--         or what `moved` in repair.lua returns; {-5} also where there is a record
local refusal = moved()
if refusal then
  return refusal
end
if redis.call('EXISTS', KEYS[4]) == 1 then
  return {-5}
end

record_event(KEYS[14], ARGV[7], ARGV[8])
redis.call('ZREM', KEYS[1], id)
redis.call('DEL', KEYS[5], KEYS[13])
redis.call('SREM', KEYS[6], id)
redis.call('HDEL', KEYS[7], id)
redis.call('HDEL', KEYS[8], id)
redis.call('HDEL', KEYS[9], id)
redis.call('HDEL', KEYS[10], id)
redis.call('SREM', KEYS[11], id)
return {1}
