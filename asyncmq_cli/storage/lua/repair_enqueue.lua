-- Let a job wait for a worker that waits in no place, or whose worker is gone.
--
-- KEYS  as in repair.lua
-- ARGV  as there, and then: priority, new record ('' to leave it), new payload part ('' for none)
--
-- Returns {1}      done
--         or what `moved` in repair.lua returns; {-9, 12} also for a sequence that is no number
local refusal = moved()
if refusal then
  return refusal
end
if not is_countable(KEYS[12]) then
  return {-9, 12}
end

record_event(KEYS[14], ARGV[7], ARGV[8])
redis.call('HDEL', KEYS[9], id)
redis.call('HDEL', KEYS[10], id)
enqueue(KEYS[1], KEYS[12], ARGV[next_arg], id)
rewrite(ARGV[next_arg + 1], ARGV[next_arg + 2])
redis.call('SADD', KEYS[6], id)
redis.call('HSET', KEYS[7], id, 'waiting')
redis.call('HDEL', KEYS[8], id)
redis.call('DEL', KEYS[13])
for i = 15, #KEYS do
  redis.call('SREM', KEYS[i], id)
end
return {1}
