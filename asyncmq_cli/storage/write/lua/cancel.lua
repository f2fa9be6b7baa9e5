-- Mark a job as cancelled, and remove it from where a worker would find it.
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
--         {-1}     a member has left its zset, or has come into the waiting set
--         {-2}     the job's state is not the one found
--         {-3}     the job has become active, or is no longer
--         {-5}     the record is not the one found
--         {-8}     another job of the queue shares a key with it
--         {-9, i}  KEYS[i] is of a wrong type
local key, bad = named_keys('waiting delayed record payload ids states results active heartbeats cancelled audit')
if bad then
  return bad
end

local id = ARGV[1]
if shares_key(key.ids, id) then
  return {-8}
end
local waiting, delayed, next_arg
waiting, next_arg = members_at(9)
delayed = members_at(next_arg)

if state_of(key.states, id) ~= ARGV[2] then
  return {-2}
end
if tostring(redis.call('HEXISTS', key.active, id)) ~= ARGV[3] then
  return {-3}
end
if not (all_present(key.waiting, waiting) and all_present(key.delayed, delayed)) then
  return {-1}
end
if #waiting == 0 and redis.call('ZSCORE', key.waiting, id) then
  return {-1}
end
if (redis.call('GET', key.record) or '') ~= ARGV[4] then
  return {-5}
end

write('SADD', key.cancelled, id)
write_record(key.record, key.payload, ARGV[5], ARGV[6])
write('SADD', key.ids, id)
write('HSET', key.states, id, 'cancelled')
remove_members(key.waiting, waiting)
remove_members(key.delayed, delayed)
take('HDEL', key.active, id)
take('HDEL', key.heartbeats, id)
take('HDEL', key.results, id)
return commit(key.audit, ARGV[7], ARGV[8])
