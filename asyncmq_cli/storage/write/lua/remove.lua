-- Remove a job from every key of its queue, even when Redis is out of memory.
--
-- KEYS  1 waiting zset       2 delayed zset      3 dead-letter zset  4 record
--       5 payload part       6 ids set           7 states hash       8 results hash
--       9 active hash       10 heartbeats hash  11 cancelled set    12 pending parents set
--      13 children set      14 audit stream     15… the children sets of its parents, if few
-- ARGV  1 job id             2 state found ('' for none)
--       3 '1' if the job may be active          4 audit maxlen       5 audit event
--       6 '1' to keep the set of pending parents: the parents are too many for this script, and the
--         caller needs that set to remove the job from theirs
--       then three lists, each its length and its members: those found in the waiting,
--       the delayed and the dead-letter zset
--       then '' or, if a backup was written, the digest of the job in it (`JobDump.digest`), three
--       lists of the members' scores, and two lists: the pending parents and the children
--
-- Returns {1}      done
--         {-1}     a member has left its zset, or has come into the waiting set
--         {-2}     the job's state is not the one found
--         {-3}     the job is active, and that was not allowed
--         {-6}     the job differs from the backup
--         {-8}     another job of the queue shares a key with it
--         {-9, i}  KEYS[i] is of a wrong type
local key, bad = named_keys(WHOLE_JOB)
if bad then
  return bad
end

local function piece(value)
  return value and #value .. ':' .. value or '-'
end

local function digest_of(id)
  local pieces = {
    piece(redis.call('HGET', key.states, id)),
    piece(redis.call('GET', key.record)),
    piece(redis.call('GET', key.payload)),
    piece(redis.call('HGET', key.results, id)),
    piece(redis.call('HGET', key.active, id)),
    piece(redis.call('HGET', key.heartbeats, id)),
    redis.call('SISMEMBER', key.ids, id),
    redis.call('SISMEMBER', key.cancelled, id),
  }
  for _, children in ipairs(key.rest) do
    pieces[#pieces + 1] = redis.call('SISMEMBER', children, id)
  end
  return redis.sha1hex(table.concat(pieces, ','))
end

-- Scores are compared as numbers, because servers write the same score in different ways.
local function same_scores(zset, members, scores)
  for i, member in ipairs(members) do
    if not scores[i] or tonumber(redis.call('ZSCORE', zset, member)) ~= tonumber(scores[i]) then
      return false
    end
  end
  return true
end

local function same_set(set, members)
  if redis.call('SCARD', set) ~= #members then
    return false
  end
  for from = 1, #members, 1000 do
    local found = redis.call('SMISMEMBER', set, unpack(members, from, math.min(from + 999, #members)))
    for _, is_member in ipairs(found) do
      if is_member == 0 then
        return false
      end
    end
  end
  return true
end

local id = ARGV[1]
if shares_key(key.ids, id) then
  return {-8}
end
local waiting, delayed, dead, next_arg
waiting, next_arg = members_at(7)
delayed, next_arg = members_at(next_arg)
dead, next_arg = members_at(next_arg)

if state_of(key.states, id) ~= ARGV[2] then
  return {-2}
end
if redis.call('HEXISTS', key.active, id) == 1 and ARGV[3] ~= '1' then
  return {-3}
end
if not (all_present(key.waiting, waiting) and all_present(key.delayed, delayed) and all_present(key.dlq, dead)) then
  return {-1}
end
if #waiting == 0 and redis.call('ZSCORE', key.waiting, id) then
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
  local same = same_scores(key.waiting, waiting, waiting_scores)
    and same_scores(key.delayed, delayed, delayed_scores)
    and same_scores(key.dlq, dead, dead_scores)
    and same_set(key.pending, pending)
    and same_set(key.children, children)
    and digest_of(id) == backed_up
  if not same then
    return {-6}
  end
end

remove_members(key.waiting, waiting)
remove_members(key.delayed, delayed)
remove_members(key.dlq, dead)
take('DEL', key.record)
take('DEL', key.payload)
if ARGV[6] ~= '1' then
  drop_set(key.pending)
end
drop_set(key.children)
take('SREM', key.ids, id)
take('HDEL', key.states, id)
take('HDEL', key.results, id)
take('HDEL', key.active, id)
take('HDEL', key.heartbeats, id)
take('SREM', key.cancelled, id)
for _, children in ipairs(key.rest) do
  take('SREM', children, id)
end
return commit(key.audit, ARGV[4], ARGV[5], 'frees')
