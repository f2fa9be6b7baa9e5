-- Move a dead letter, or a delayed job, to the waiting set.
--
-- KEYS  1 dead-letter or delayed zset        2 waiting zset   3 waiting sequence   4 record
--       5 payload part       6 ids set        7 states hash        8 results hash
--       9 active hash       10 cancelled set  11 audit stream
-- ARGV  1 job id             2 state found ('' for none)           3 dead-letter member found
--       4 priority           5 new record     6 new payload part ('' for none)
--       7 audit maxlen       8 audit event
--       then a list, its length and its members: the job's other dead letters, which go too
--
-- Returns {1}      done
--         {-1}     a member has left the dead-letter queue
--         {-2}     the job's state is not the one found
--         {-3}     the job is waiting or active already
--         {-4}     the job is marked as cancelled, so a worker would drop it
--         {-8}     another job of the queue shares a key with it
--         {-9, i}  KEYS[i] is of a wrong type, or a sequence that is no number
local key, bad = named_keys('dlq waiting sequence record payload ids states results active cancelled audit')
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
local others = members_at(9)
if not redis.call('ZSCORE', key.dlq, ARGV[3]) or not all_present(key.dlq, others) then
  return {-1}
end
if redis.call('ZSCORE', key.waiting, id) or redis.call('HEXISTS', key.active, id) == 1 then
  return {-3}
end
if state_of(key.states, id) ~= ARGV[2] then
  return {-2}
end
if redis.call('SISMEMBER', key.cancelled, id) == 1 then
  return {-4}
end

enqueue(key.waiting, key.sequence, ARGV[4], id)
write_record(key.record, key.payload, ARGV[5], ARGV[6])
write('SADD', key.ids, id)
write('HSET', key.states, id, 'waiting')
take('ZREM', key.dlq, ARGV[3])
remove_members(key.dlq, others)
take('HDEL', key.results, id)
return commit(key.audit, ARGV[7], ARGV[8])
