-- Take a job out of every key of its queue.
--
-- KEYS  1 waiting zset       2 delayed zset      3 dead-letter zset  4 record
--       5 payload part       6 ids set           7 states hash       8 results hash
--       9 active hash       10 heartbeats hash  11 cancelled set    12 pending parents set
--      13 children set      14 audit stream     15… the children set of each parent
-- ARGV  1 job id             2 state found ('' for none)
--       3 '1' if the job may be active          4 audit maxlen       5 audit event
--       then three lists, each its length and its members: those found in the waiting,
--       the delayed and the dead-letter zset
--
-- Returns {1}      done
--         {-1}     a member has left the place where it was found, or has come into the waiting set
--         {-2}     the job's state is not the one found
--         {-3}     the job is active, and that was not allowed
--         {-9, i}  KEYS[i] is of a wrong type
local types = {'zset', 'zset', 'zset', 'string', 'string', 'set', 'hash', 'hash', 'hash', 'hash', 'set', 'set', 'set', 'stream'}
for i = 15, #KEYS do
  types[i] = 'set'
end
local bad = wrong_type(types)
if bad then
  return {-9, bad}
end

local id = ARGV[1]
local waiting, delayed, dead, next_arg
waiting, next_arg = members_at(6)
delayed, next_arg = members_at(next_arg)
dead = members_at(next_arg)

if state_of(KEYS[7], id) ~= ARGV[2] then
  return {-2}
end
if redis.call('HEXISTS', KEYS[9], id) == 1 and ARGV[3] ~= '1' then
  return {-3}
end
if not (all_present(KEYS[1], waiting) and all_present(KEYS[2], delayed) and all_present(KEYS[3], dead)) then
  return {-1}
end
if #waiting == 0 and redis.call('ZSCORE', KEYS[1], id) then
  return {-1}
end

record_event(KEYS[14], ARGV[4], ARGV[5])
remove_members(KEYS[1], waiting)
remove_members(KEYS[2], delayed)
remove_members(KEYS[3], dead)
redis.call('DEL', KEYS[4], KEYS[5], KEYS[12], KEYS[13])
redis.call('SREM', KEYS[6], id)
redis.call('HDEL', KEYS[7], id)
redis.call('HDEL', KEYS[8], id)
redis.call('HDEL', KEYS[9], id)
redis.call('HDEL', KEYS[10], id)
redis.call('SREM', KEYS[11], id)
for i = 15, #KEYS do
  redis.call('SREM', KEYS[i], id)
end
return {1}
