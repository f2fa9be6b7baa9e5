-- Enqueue a job that is in no place, or whose worker is gone.
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
if not is_countable(key.sequence) then
  return {-9, 12}
end

enqueue(key.waiting, key.sequence, ARGV[next_arg], id)
rewrite(ARGV[next_arg + 1], ARGV[next_arg + 2])
write('SADD', key.ids, id)
write('HSET', key.states, id, 'waiting')
take('HDEL', key.active, id)
take('HDEL', key.heartbeats, id)
take('HDEL', key.results, id)
drop_set(key.pending)
for _, siblings in ipairs(key.rest) do
  take('SREM', siblings, id)
end
return commit(key.audit, ARGV[7], ARGV[8])
