-- Take what is left over of an earlier life of a job away, and leave the job as it is.
--
-- KEYS  as in repair.lua
-- ARGV  as there, and then: 'dead' for the dead letters found, 'claim' for the claim and the heartbeat
--
-- Returns {1}      done
--         or what `moved` in repair.lua returns
local refusal = moved()
if refusal then
  return refusal
end

record_event(KEYS[14], ARGV[7], ARGV[8])
if ARGV[next_arg] == 'dead' then
  remove_members(KEYS[3], dead)
else
  redis.call('HDEL', KEYS[9], id)
  redis.call('HDEL', KEYS[10], id)
end
return {1}
