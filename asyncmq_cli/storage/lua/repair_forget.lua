-- Take out what is left of a job that has no record and is in no zset as a whole.
--
-- KEYS  as in repair.lua, with the children set of the job itself as the 15th
-- ARGV  as there, the lists being empty, and then: the sizes found of the set of its pending parents
--       and of that of its children ('' to leave the latter, which living children need)
--
-- Returns {1}      done
--         or what `moved` in repair.lua returns; {-1} also for a set of another size, and {-5} also
--         where there is a record
local refusal = moved()
if refusal then
  return refusal
end
if redis.call('EXISTS', KEYS[4]) == 1 then
  return {-5}
end
local pending, children = ARGV[next_arg], ARGV[next_arg + 1]
if redis.call('SCARD', KEYS[13]) ~= tonumber(pending) then
  return {-1}
end
if children ~= '' and redis.call('SCARD', KEYS[15]) ~= tonumber(children) then
  return {-1}
end

record_event(KEYS[14], ARGV[7], ARGV[8])
redis.call('ZREM', KEYS[1], id)
redis.call('DEL', KEYS[5], KEYS[13])
if children ~= '' then
  redis.call('DEL', KEYS[15])
end
redis.call('SREM', KEYS[6], id)
redis.call('HDEL', KEYS[7], id)
redis.call('HDEL', KEYS[8], id)
redis.call('HDEL', KEYS[9], id)
redis.call('HDEL', KEYS[10], id)
redis.call('SREM', KEYS[11], id)
return {1}
