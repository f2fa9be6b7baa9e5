-- Move a dead letter back to the waiting set.
--
-- KEYS  1 dead-letter zset   2 waiting zset   3 waiting sequence   4 record
--       5 payload part       6 ids set        7 states hash        8 results hash
--       9 active hash       10 cancelled set  11 audit stream
-- ARGV  1 job id             2 state found ('' for none)           3 dead-letter member found
--       4 priority           5 new record     6 new payload part ('' for none)
--       7 audit maxlen       8 audit event
--
-- Returns {1}      done
--         {-1}     the member has left the dead-letter queue
--         {-2}     the job's state is not the one found
--         {-3}     the job is waiting or active already
--         {-4}     the job is marked as cancelled, so a worker would drop it
--         {-9, i}  KEYS[i] is of a wrong type, or a sequence that is no number
local bad = wrong_type({'zset', 'zset', 'string', 'string', 'string', 'set', 'hash', 'hash', 'hash', 'set', 'stream'})
if bad then
  return {-9, bad}
end
if not is_countable(KEYS[3]) then
  return {-9, 3}
end

local id = ARGV[1]
if not redis.call('ZSCORE', KEYS[1], ARGV[3]) then
  return {-1}
end
if redis.call('ZSCORE', KEYS[2], id) or redis.call('HEXISTS', KEYS[9], id) == 1 then
  return {-3}
end
if state_of(KEYS[7], id) ~= ARGV[2] then
  return {-2}
end
if redis.call('SISMEMBER', KEYS[10], id) == 1 then
  return {-4}
end

record_event(KEYS[11], ARGV[7], ARGV[8])
redis.call('ZREM', KEYS[1], ARGV[3])
enqueue(KEYS[2], KEYS[3], ARGV[4], id)
write_record(KEYS[4], KEYS[5], ARGV[5], ARGV[6])
redis.call('SADD', KEYS[6], id)
redis.call('HSET', KEYS[7], id, 'waiting')
redis.call('HDEL', KEYS[8], id)
return {1}
