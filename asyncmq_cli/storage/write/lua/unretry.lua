-- Undo an edit and retry: move the job back into the dead-letter queue, as it was before.
--
-- KEYS  1 waiting zset       2 dead-letter zset    3 waiting sequence   4 record
--       5 payload part       6 ids set             7 states hash        8 results hash
--       9 active hash       10 audit stream
-- ARGV  1 job id             2 record found        3 payload part found ('' for none)
--       4 its dead letter    5 the letter's score  6 its record         7 its payload part ('' for none)
--       8 its state ('' for none)
--       9 '1' if it had a result                  10 the result
--      11 '1' if it was in the ids set            12 audit maxlen      13 audit event
--
-- Returns {1}      done
--         {-1}     the job does not wait
--         {-2}     its state is not 'waiting'
--         {-3}     the job is active
--         {-5}     its record or payload part is not the one found
--         {-7}     it has that dead letter
--         {-8}     another job of the queue shares a key with it
--         {-9, i}  KEYS[i] is of a wrong type
local key, bad = named_keys('waiting dlq sequence record payload ids states results active audit')
if bad then
  return bad
end

local id, letter = ARGV[1], ARGV[4]
if shares_key(key.ids, id) then
  return {-8}
end
local score = redis.call('ZSCORE', key.waiting, id)
if redis.call('HEXISTS', key.active, id) == 1 then
  return {-3}
end
if not score then
  return {-1}
end
if state_of(key.states, id) ~= 'waiting' then
  return {-2}
end
if redis.call('GET', key.record) ~= ARGV[2] or (redis.call('GET', key.payload) or '') ~= ARGV[3] then
  return {-5}
end
if redis.call('ZSCORE', key.dlq, letter) then
  return {-7}
end

write('ZADD', key.dlq, ARGV[5], letter)
write_record(key.record, key.payload, ARGV[6], ARGV[7])
if ARGV[8] ~= '' then
  write('HSET', key.states, id, ARGV[8])
else
  take('HDEL', key.states, id)
end
if ARGV[9] == '1' then
  write('HSET', key.results, id, ARGV[10])
end
if ARGV[11] ~= '1' then
  take('SREM', key.ids, id)
end
take('ZREM', key.waiting, id)
-- Decrement the sequence, too, if no other job has used it since the retry.
local number = tonumber(score) % 1000000000000
if redis.call('GET', key.sequence) == string.format('%.0f', number) then
  if number > 1 then
    write('SET', key.sequence, string.format('%.0f', number - 1))
  else
    take('DEL', key.sequence)
  end
end
return commit(key.audit, ARGV[12], ARGV[13])
