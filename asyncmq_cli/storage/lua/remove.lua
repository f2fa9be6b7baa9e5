-- Take a job out of every key of its queue.
--
-- KEYS  1 waiting zset       2 delayed zset      3 dead-letter zset  4 record
--       5 payload part       6 ids set           7 states hash       8 results hash
--       9 active hash       10 heartbeats hash  11 cancelled set    12 pending parents set
--      13 children set      14 audit stream     15… the children set of each parent
-- ARGV  1 job id             2 state found ('' for none)
--       3 '1' if the job may be active          4 audit maxlen       5 audit event
--       then three lists, each its length and its members: those found in the waiting,
--       the delayed and the dead-letter zset
--       then '' or, where a backup was written, the digest of what is in it (`Parts.digest`), three
--       lists of the members' scores, and two lists: the pending parents and the children
--
-- Returns {1}      done
--         {-1}     a member has left the place where it was found, or has come into the waiting set
--         {-2}     the job's state is not the one found
--         {-3}     the job is active, and that was not allowed
--         {-6}     it is not what is in the backup
--         {-9, i}  KEYS[i] is of a wrong type
local types = {'zset', 'zset', 'zset', 'string', 'string', 'set', 'hash', 'hash', 'hash', 'hash', 'set', 'set', 'set', 'stream'}
for i = 15, #KEYS do
  types[i] = 'set'
end
local bad = wrong_type(types)
if bad then
  return {-9, bad}
end

local function piece(value)
  return value and #value .. ':' .. value or '-'
end

local function digest_of(id)
  local pieces = {
    piece(redis.call('HGET', KEYS[7], id)),
    piece(redis.call('GET', KEYS[4])),
    piece(redis.call('GET', KEYS[5])),
    piece(redis.call('HGET', KEYS[8], id)),
    piece(redis.call('HGET', KEYS[9], id)),
    piece(redis.call('HGET', KEYS[10], id)),
    redis.call('SISMEMBER', KEYS[6], id),
    redis.call('SISMEMBER', KEYS[11], id),
  }
  for i = 15, #KEYS do
    pieces[#pieces + 1] = redis.call('SISMEMBER', KEYS[i], id)
  end
  return redis.sha1hex(table.concat(pieces, ','))
end

-- Scores are compared as numbers: servers write the same one in different ways.
local function same_scores(key, members, scores)
  for i, member in ipairs(members) do
    if not scores[i] or tonumber(redis.call('ZSCORE', key, member)) ~= tonumber(scores[i]) then
      return false
    end
  end
  return true
end

local function same_set(key, members)
  if redis.call('SCARD', key) ~= #members then
    return false
  end
  for from = 1, #members, 1000 do
    local found = redis.call('SMISMEMBER', key, unpack(members, from, math.min(from + 999, #members)))
    for _, is_member in ipairs(found) do
      if is_member == 0 then
        return false
      end
    end
  end
  return true
end

local id = ARGV[1]
local waiting, delayed, dead, next_arg
waiting, next_arg = members_at(6)
delayed, next_arg = members_at(next_arg)
dead, next_arg = members_at(next_arg)

if state_of(KEYS[7], id) ~= ARGV[2] then
  return {-2}
end
if redis.call('HEXISTS', KEYS[9], id) == 1 and ARGV[3] ~= '1' then
  return {-3}
end
if not (all_present(KEYS[1], waiting) and all_present(KEYS[2], delayed) and all_present(KEYS[3], dead)) then
  return {-1}
end
if #waiting == 0 and redis.call('ZSCORE', KEYS[1], id) then
  return {-1}
end
if ARGV[next_arg] ~= '' then
  local backed_up = ARGV[next_arg]
  local waiting_scores, delayed_scores, dead_scores, pending, children
  waiting_scores, next_arg = members_at(next_arg + 1)
  delayed_scores, next_arg = members_at(next_arg)
  dead_scores, next_arg = members_at(next_arg)
  pending, next_arg = members_at(next_arg)
  children = members_at(next_arg)
  local same = same_scores(KEYS[1], waiting, waiting_scores)
    and same_scores(KEYS[2], delayed, delayed_scores)
    and same_scores(KEYS[3], dead, dead_scores)
    and same_set(KEYS[12], pending)
    and same_set(KEYS[13], children)
    and digest_of(id) == backed_up
  if not same then
    return {-6}
  end
end

record_event(KEYS[14], ARGV[4], ARGV[5])
remove_members(KEYS[1], waiting)
remove_members(KEYS[2], delayed)
remove_members(KEYS[3], dead)
redis.call('DEL', KEYS[4], KEYS[5], KEYS[12], KEYS[13])
redis.call('SREM', KEYS[6], id)
redis.call('HDEL', KEYS[7], id)
redis.call('HDEL', KEYS[8], id)
redis.call('HDEL', KEYS[9], id)
redis.call('HDEL', KEYS[10], id)
redis.call('SREM', KEYS[11], id)
for i = 15, #KEYS do
  redis.call('SREM', KEYS[i], id)
end
return {1}
