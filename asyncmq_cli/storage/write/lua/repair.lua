-- Shared by the repairs of one job: the prelude and this file are put before each of them.
--
-- KEYS  1 waiting zset       2 delayed zset      3 dead-letter zset  4 record
--       5 payload part       6 ids set           7 states hash       8 results hash
--       9 active hash       10 heartbeats hash  11 cancelled set    12 waiting sequence
--      13 pending parents set                   14 audit stream     15… the children set of each parent
-- ARGV  1 job id             2 state found ('' for none)            3 record found ('' for none)
--       4 claim found ('' for none)              5 heartbeat found ('' for none)
--       6 three digits, '1' for yes: in the ids set, in the cancelled set, its id in the waiting set
--       7 audit maxlen       8 audit event
--       then two lists, each its length and its members: those found in the delayed and the
--       dead-letter zset; then the arguments of the repair
--
-- Returns of `moved`: nil if all is as it was found, else
--         {-1}     a member, or a mark of ARGV 6, has come or gone
--         {-2}     the job's state is not the one found
--         {-3}     the job's claim or heartbeat is not the one found
--         {-5}     the record is not the one found
--         {-8}     another job of the queue shares a key with it
--         {-9, i}  KEYS[i] is of a wrong type
local key, bad = named_keys('waiting delayed dlq record payload ids states results active heartbeats cancelled sequence pending audit')
local id = ARGV[1]
local delayed, dead, next_arg
delayed, next_arg = members_at(9)
dead, next_arg = members_at(next_arg)

local function moved()
  if bad then
    return bad
  end
  if shares_key(key.ids, id) then
    return {-8}
  end
  if state_of(key.states, id) ~= ARGV[2] then
    return {-2}
  end
  if (redis.call('HGET', key.active, id) or '') ~= ARGV[4] or (redis.call('HGET', key.heartbeats, id) or '') ~= ARGV[5] then
    return {-3}
  end
  local waits = redis.call('ZSCORE', key.waiting, id) and '1' or '0'
  if redis.call('SISMEMBER', key.ids, id) .. redis.call('SISMEMBER', key.cancelled, id) .. waits ~= ARGV[6] then
    return {-1}
  end
  if not (all_present(key.delayed, delayed) and all_present(key.dlq, dead)) then
    return {-1}
  end
  if (redis.call('GET', key.record) or '') ~= ARGV[3] then
    return {-5}
  end
  return nil
end

-- Like `write_record`, but an empty record leaves both keys unchanged.
local function rewrite(record, payload)
  if record ~= '' then
    write_record(key.record, key.payload, record, payload)
  end
end
