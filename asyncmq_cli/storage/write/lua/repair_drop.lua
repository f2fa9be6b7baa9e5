-- Delete leftovers of an earlier attempt of a job, and leave the job as it is.
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

if ARGV[next_arg] == 'dead' then
  remove_members(key.dlq, dead)
else
  take('HDEL', key.active, id)
  take('HDEL', key.heartbeats, id)
end
return commit(key.audit, ARGV[7], ARGV[8], 'frees')
