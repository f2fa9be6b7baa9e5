-- Replace the stored texts of a job that waits, is delayed or is dead. It stays in its place.
--
-- KEYS  1 its waiting, delayed or dead-letter zset             2 record   3 payload part   4 ids set
--       5 active hash        6 audit stream
-- ARGV  1 job id             2 member found   3 new member (the same where it is the id alone)
--       4 record found       5 new record     6 payload part found ('' for none)
--       7 new payload part ('' for none)      8 audit maxlen   9 audit event
--
-- Returns {1}      done
--         {-1}     the member has left its zset
--         {-3}     the job is active
--         {-5}     its record or payload part is not the one found
--         {-8}     another job of the queue shares a key with it
--         {-9, i}  KEYS[i] is of a wrong type
local key, bad = named_keys('waiting record payload ids active audit')
if bad then
  return bad
end

local place, id, member = key.waiting, ARGV[1], ARGV[2]
if shares_key(key.ids, id) then
  return {-8}
end
local score = redis.call('ZSCORE', place, member)
if not score then
  return {-1}
end
if redis.call('HEXISTS', key.active, id) == 1 then
  return {-3}
end
if redis.call('GET', key.record) ~= ARGV[4] or (redis.call('GET', key.payload) or '') ~= ARGV[6] then
  return {-5}
end

if ARGV[3] ~= member then
  write('ZADD', place, score, ARGV[3])
end
write_record(key.record, key.payload, ARGV[5], ARGV[7])
if ARGV[3] ~= member then
  take('ZREM', place, member)
end
return commit(key.audit, ARGV[8], ARGV[9])
