-- Add a job to the place of its state, or write its state and record from its member.
--
-- KEYS  as in repair.lua
-- ARGV  as there, and then: '2' or '3', the KEYS of the zset to put a member into, or '0' for none;
--       the member, its score ('' for now); new state ('' to leave it), new record ('' to leave it),
--       new payload part ('' for none)
--
-- Returns {1}      done
--         or what `moved` in repair.lua returns
local refusal = moved()
if refusal then
  return refusal
end
local place, member, score = tonumber(ARGV[next_arg]), ARGV[next_arg + 1], ARGV[next_arg + 2]
local state, record, payload = ARGV[next_arg + 3], ARGV[next_arg + 4], ARGV[next_arg + 5]

if place ~= 0 then
  write('ZADD', KEYS[place], score ~= '' and score or server_time(), member)
end
rewrite(record, payload)
write('SADD', key.ids, id)
if state ~= '' then
  write('HSET', key.states, id, state)
end
return commit(key.audit, ARGV[7], ARGV[8])
