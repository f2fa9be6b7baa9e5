-- Delete the leftovers of a job that has no record and no member that contains it.
--
-- KEYS  as in repair.lua, with the children set of the job itself as the 15th
-- ARGV  as there, the lists being empty, and then: the sizes found of the set of its pending parents
--       and of that of its children ('' to leave the latter, which living children need)
--
-- Returns {1}      done
--         or what `moved` in repair.lua returns; {-1} also if a set has another size, and {-5} also
--         if there is a record
local refusal = moved()
if refusal then
  return refusal
end
if redis.call('EXISTS', key.record) == 1 then
  return {-5}
end
local pending, children = ARGV[next_arg], ARGV[next_arg + 1]
if redis.call('SCARD', key.pending) ~= tonumber(pending) then
  return {-1}
end
if children ~= '' and redis.call('SCARD', key.rest[1]) ~= tonumber(children) then
  return {-1}
end

take('ZREM', key.waiting, id)
take('DEL', key.payload)
drop_set(key.pending)
if children ~= '' then
  drop_set(key.rest[1])
end
take('SREM', key.ids, id)
take('HDEL', key.states, id)
take('HDEL', key.results, id)
take('HDEL', key.active, id)
take('HDEL', key.heartbeats, id)
take('SREM', key.cancelled, id)
return commit(key.audit, ARGV[7], ARGV[8], 'frees')
