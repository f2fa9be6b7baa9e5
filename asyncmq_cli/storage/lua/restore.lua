-- Put a job that was removed back into every key that it was in.
--
-- KEYS  1 waiting zset       2 delayed zset      3 dead-letter zset  4 record
--       5 payload part       6 ids set           7 states hash       8 results hash
--       9 active hash       10 heartbeats hash  11 cancelled set    12 pending parents set
--      13 children set      14 audit stream     15… the children sets of the parents that it was in
-- ARGV  1 job id             2 audit maxlen      3 audit event
--       then six values, each as '1' and the value or as '0' and '': its state, record, payload part,
--       result, claim and heartbeat
--       16 '1' if it was in the ids set         17 '1' if it was in the cancelled set
--       then three lists, each its length and its scores and members by turns: those of the waiting,
--       the delayed and the dead-letter zset
--       then two lists: the pending parents and the children
--
-- Returns {1}      done
--         {-4}     the id is marked as cancelled, so a worker would drop the job
--         {-7}     the job exists
--         {-9, i}  KEYS[i] is of a wrong type
local types = {'zset', 'zset', 'zset', 'string', 'string', 'set', 'hash', 'hash', 'hash', 'hash', 'set', 'set', 'set', 'stream'}
for i = 15, #KEYS do
  types[i] = 'set'
end
local bad = wrong_type(types)
if bad then
  return {-9, bad}
end

local function any_present(key, pairs_of)
  for i = 2, #pairs_of, 2 do
    if redis.call('ZSCORE', key, pairs_of[i]) then
      return true
    end
  end
  return false
end

local function put_members(key, pairs_of)
  for i = 2, #pairs_of, 2 do
    redis.call('ZADD', key, pairs_of[i - 1], pairs_of[i])
  end
end

-- What is left of a former job in a hash is none of this one's.
local function put_field(key, id, present, value)
  if present == '1' then
    redis.call('HSET', key, id, value)
  else
    redis.call('HDEL', key, id)
  end
end

local function put_set(key, members)
  for from = 1, #members, 1000 do
    redis.call('SADD', key, unpack(members, from, math.min(from + 999, #members)))
  end
end

local id = ARGV[1]
local waiting, delayed, dead, pending, children, next_arg
waiting, next_arg = members_at(18)
delayed, next_arg = members_at(next_arg)
dead, next_arg = members_at(next_arg)
pending, next_arg = members_at(next_arg)
children = members_at(next_arg)

if redis.call('EXISTS', KEYS[4]) == 1
  or redis.call('SISMEMBER', KEYS[6], id) == 1
  or redis.call('HEXISTS', KEYS[7], id) == 1
  or redis.call('HEXISTS', KEYS[9], id) == 1
  or redis.call('ZSCORE', KEYS[1], id)
  or any_present(KEYS[1], waiting)
  or any_present(KEYS[2], delayed)
  or any_present(KEYS[3], dead)
then
  return {-7}
end
if ARGV[17] ~= '1' and redis.call('SISMEMBER', KEYS[11], id) == 1 then
  return {-4}
end

record_event(KEYS[14], ARGV[2], ARGV[3])
put_members(KEYS[1], waiting)
put_members(KEYS[2], delayed)
put_members(KEYS[3], dead)
if ARGV[4] == '1' then
  redis.call('HSET', KEYS[7], id, ARGV[5])
end
if ARGV[6] == '1' then
  redis.call('SET', KEYS[4], ARGV[7])
end
if ARGV[8] == '1' then
  redis.call('SET', KEYS[5], ARGV[9])
else
  redis.call('DEL', KEYS[5])
end
put_field(KEYS[8], id, ARGV[10], ARGV[11])
if ARGV[12] == '1' then
  redis.call('HSET', KEYS[9], id, ARGV[13])
end
put_field(KEYS[10], id, ARGV[14], ARGV[15])
if ARGV[16] == '1' then
  redis.call('SADD', KEYS[6], id)
end
if ARGV[17] == '1' then
  redis.call('SADD', KEYS[11], id)
end
redis.call('DEL', KEYS[12])
put_set(KEYS[12], pending)
put_set(KEYS[13], children)
for i = 15, #KEYS do
  redis.call('SADD', KEYS[i], id)
end
return {1}
