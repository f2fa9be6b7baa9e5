-- Mark a job as cancelled and take it from where a worker would find it.
--
-- KEYS  1 waiting zset       2 delayed zset      3 record            4 payload part
--       5 ids set            6 states hash       7 results hash      8 active hash
--       9 heartbeats hash   10 cancelled set    11 audit stream
-- ARGV  1 job id             2 state found ('' for none)
--       3 '1' if the job was found active, else '0'
--       4 record found ('' for none)            5 new record         6 new payload part ('' for none)
--       7 audit maxlen       8 audit event
--       then two lists, each its length and its members: those found in the waiting
--       and the delayed zset
--
-- Returns {1}      done
--         {-1}     a member has left the place where it was found, or has come into the waiting set
--         {-2}     the job's state is not the one found
--         {-3}     the job has become active, or is no longer
--         {-5}     the record is not the one found
--         {-9, i}  KEYS[i] is of a wrong type
local bad = wrong_type({'zset', 'zset', 'string', 'string', 'set', 'hash', 'hash', 'hash', 'hash', 'set', 'stream'})
if bad then
  return {-9, bad}
end

local id = ARGV[1]
local waiting, delayed, next_arg
waiting, next_arg = members_at(9)
delayed = members_at(next_arg)

if state_of(KEYS[6], id) ~= ARGV[2] then
  return {-2}
end
if tostring(redis.call('HEXISTS', KEYS[8], id)) ~= ARGV[3] then
  return {-3}
end
if not (all_present(KEYS[1], waiting) and all_present(KEYS[2], delayed)) then
  return {-1}
end
if #waiting == 0 and redis.call('ZSCORE', KEYS[1], id) then
  return {-1}
end
if (redis.call('GET', KEYS[3]) or '') ~= ARGV[4] then
  return {-5}
end

record_event(KEYS[11], ARGV[7], ARGV[8])
remove_members(KEYS[1], waiting)
remove_members(KEYS[2], delayed)
redis.call('HDEL', KEYS[8], id)
redis.call('HDEL', KEYS[9], id)
redis.call('SADD', KEYS[10], id)
write_record(KEYS[3], KEYS[4], ARGV[5], ARGV[6])
redis.call('SADD', KEYS[5], id)
redis.call('HSET', KEYS[6], id, 'cancelled')
redis.call('HDEL', KEYS[7], id)
return {1}
