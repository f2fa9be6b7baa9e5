-- Write a removed job back to every key that held it.
--
-- KEYS  1 waiting zset       2 delayed zset      3 dead-letter zset  4 record
--       5 payload part       6 ids set           7 states hash       8 results hash
--       9 active hash       10 heartbeats hash  11 cancelled set    12 pending parents set
--      13 children set      14 audit stream    15 hash of restored removals
--      16… the children sets of its parents, where these are few
-- ARGV  1 job id             2 audit maxlen      3 audit event
--       then six values, each as '1' and the value or as '0' and '': its state, record, payload part,
--       result, claim and heartbeat
--       16 '1' if it was in the ids set         17 '1' if it was in the cancelled set
--       then three lists, each its length and its scores and members by turns: those of the waiting,
--       the delayed and the dead-letter zset
--       then two lists: the pending parents and the children
--       then the run of the removal
--
-- Returns {1}      done
--         {-4}     the id is marked as cancelled, so a worker would drop the job
--         {-7}     the job exists
--         {-8}     another job of the queue shares a key with it
--         {-9, i}  KEYS[i] is of a wrong type
local key, bad = named_keys(WHOLE_JOB .. ' restored')
if bad then
  return bad
end

local function any_present(zset, pairs_of)
  for i = 2, #pairs_of, 2 do
    if redis.call('ZSCORE', zset, pairs_of[i]) then
      return true
    end
  end
  return false
end

local function put_members(zset, pairs_of)
  for i = 2, #pairs_of, 2 do
    write('ZADD', zset, pairs_of[i - 1], pairs_of[i])
  end
end

-- A field left over from an earlier job with this id must not become part of this one.
local function put_field(hash, id, present, value)
  if present == '1' then
    write('HSET', hash, id, value)
  else
    take('HDEL', hash, id)
  end
end

local function put_set(set, members)
  for from = 1, #members, 1000 do
    write('SADD', set, unpack(members, from, math.min(from + 999, #members)))
  end
end

local id = ARGV[1]
if shares_key(key.ids, id) then
  return {-8}
end
local waiting, delayed, dead, pending, children, next_arg
waiting, next_arg = members_at(18)
delayed, next_arg = members_at(next_arg)
dead, next_arg = members_at(next_arg)
pending, next_arg = members_at(next_arg)
children, next_arg = members_at(next_arg)
local run = ARGV[next_arg]

if redis.call('EXISTS', key.record) == 1
  or redis.call('SISMEMBER', key.ids, id) == 1
  or redis.call('HEXISTS', key.states, id) == 1
  or redis.call('HEXISTS', key.active, id) == 1
  or redis.call('ZSCORE', key.waiting, id)
  or any_present(key.waiting, waiting)
  or any_present(key.delayed, delayed)
  or any_present(key.dlq, dead)
then
  return {-7}
end
if ARGV[17] ~= '1' and redis.call('SISMEMBER', key.cancelled, id) == 1 then
  return {-4}
end

put_members(key.waiting, waiting)
put_members(key.delayed, delayed)
put_members(key.dlq, dead)
if ARGV[4] == '1' then
  write('HSET', key.states, id, ARGV[5])
end
if ARGV[6] == '1' then
  write('SET', key.record, ARGV[7])
end
if ARGV[8] == '1' then
  write('SET', key.payload, ARGV[9])
else
  take('DEL', key.payload)
end
put_field(key.results, id, ARGV[10], ARGV[11])
if ARGV[12] == '1' then
  write('HSET', key.active, id, ARGV[13])
end
put_field(key.heartbeats, id, ARGV[14], ARGV[15])
if ARGV[16] == '1' then
  write('SADD', key.ids, id)
end
if ARGV[17] == '1' then
  write('SADD', key.cancelled, id)
end
take('DEL', key.pending)
put_set(key.pending, pending)
put_set(key.children, children)
for _, siblings in ipairs(key.rest) do
  write('SADD', siblings, id)
end
-- The time of the first restore of this run: since then, the audit trail must be complete to know which jobs
-- were restored.
if redis.call('HEXISTS', key.restored, run) == 0 then
  write('HSET', key.restored, run, server_time())
end
return commit(key.audit, ARGV[2], ARGV[3])
