-- Add a new job: to the waiting set, or to the delayed set if it has a member for that.
--
-- KEYS  1 waiting zset       2 delayed zset      3 waiting sequence  4 record
--       5 payload part       6 ids set           7 states hash       8 results hash
--       9 active hash       10 cancelled set    11 audit stream
-- ARGV  1 job id             2 priority          3 record            4 payload part ('' for none)
--       5 when it is due, and 6 its member of the delayed set ('' and '' to let it wait now)
--       7 audit maxlen       8 audit event
--
-- Returns {1}      done
--         {-4}     the id is marked as cancelled, so a worker would drop the job
--         {-7}     there is a job of this id
--         {-8}     another job of the queue shares a key with it
--         {-9, i}  KEYS[i] is of a wrong type, or a sequence that is no number
local key, bad = named_keys('waiting delayed sequence record payload ids states results active cancelled audit')
if bad then
  return bad
end
if not is_countable(key.sequence) then
  return {-9, 3}
end

local id = ARGV[1]
if shares_key(key.ids, id) then
  return {-8}
end
if present[key.record] or redis.call('SISMEMBER', key.ids, id) == 1 or state_of(key.states, id) ~= '' then
  return {-7}
end
if redis.call('ZSCORE', key.waiting, id) or redis.call('HEXISTS', key.active, id) == 1 then
  return {-7}
end
if redis.call('SISMEMBER', key.cancelled, id) == 1 then
  return {-4}
end

local member = ARGV[6]
if member ~= '' then
  write('ZADD', key.delayed, ARGV[5], member)
else
  enqueue(key.waiting, key.sequence, ARGV[2], id)
end
write_record(key.record, key.payload, ARGV[3], ARGV[4])
write('SADD', key.ids, id)
write('HSET', key.states, id, member ~= '' and 'delayed' or 'waiting')
take('HDEL', key.results, id)
return commit(key.audit, ARGV[7], ARGV[8])
