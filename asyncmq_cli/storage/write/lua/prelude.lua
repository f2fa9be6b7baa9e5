-- Shared by all scripts, and sent before each of them.
--
-- Redis does not undo a script's earlier writes when it refuses a later one. So a script does not write
-- directly: it checks, lists its writes with `write`, and `commit` makes all of them or none. Whether
-- Redis accepts a command depends on the user's rights and the state of the server, and neither changes
-- while a script runs. So `commit` checks each write before it makes the first. Memory is different:
-- Redis refuses only the first write of a script. So the audit event is written first.
--
-- A job is added to its new place before it is removed from the old one. Should a write fail for an
-- unforeseen reason, the job is in two places, which the doctor finds, and never in none.

-- The type of each key, by its name in the scripts.
local TYPES = {
  waiting = 'zset', delayed = 'zset', dlq = 'zset', repeatables = 'zset',
  record = 'string', payload = 'string', sequence = 'string', paused = 'string', lock = 'string',
  ids = 'set', cancelled = 'set', pending = 'set', children = 'set',
  states = 'hash', results = 'hash', active = 'hash', heartbeats = 'hash', restored = 'hash',
  audit = 'stream', metrics = 'stream',
}

-- The KEYS that remove.lua and restore.lua share: all keys of one job.
local WHOLE_JOB = 'waiting delayed dlq record payload ids states results active heartbeats cancelled pending children audit'

-- Which of the KEYS exist.
local present = {}

-- The KEYS by these names; the KEYS behind them, sets of children, are in `rest`. Returns nil and {-9, i}
-- if KEYS[i] exists and is of the wrong type.
local function named_keys(names)
  local key, count = {rest = {}}, 0
  local function is_right(i, expected)
    local found = redis.call('TYPE', KEYS[i])['ok']
    present[KEYS[i]] = found ~= 'none'
    return found == 'none' or found == expected
  end
  for name in string.gmatch(names, '%S+') do
    count = count + 1
    key[name] = KEYS[count]
    if not is_right(count, TYPES[name]) then
      return nil, {-9, count}
    end
  end
  for i = count + 1, #KEYS do
    key.rest[i - count] = KEYS[i]
    if not is_right(i, TYPES.children) then
      return nil, {-9, i}
    end
  end
  return key, nil
end

local moment

-- The server's time in epoch seconds, the same throughout a script. With one clock, the events of all
-- operators are in order.
local function server_time()
  if not moment then
    local now = redis.call('TIME')
    moment = now[1] .. '.' .. string.format('%06d', tonumber(now[2]))
  end
  return moment
end

local writes = {}

-- List a command for `commit`. Its first argument is its only key.
local function write(command, ...)
  writes[#writes + 1] = {command, ...}
end

-- The same for a command that deletes, unless its key does not exist.
local function take(command, key, ...)
  if present[key] then
    write(command, key, ...)
  end
end

local function no_right(command)
  return redis.error_reply("NOPERM no right to run '" .. string.lower(command) .. "' on a key of the change")
end

-- Returns a key that does not exist and that matches the user's key patterns.
local function absent_key()
  local key = KEYS[1] .. ':asyncmq-cli'
  while redis.call('TYPE', key)['ok'] ~= 'none' do
    key = key .. '~'
  end
  return key
end

-- Redis before 7.0 has no `acl_check_cmd`, so a command is tried on a key that does not exist, with
-- arguments that change nothing, or only what is deleted at once. Such a Redis has no rights per key and
-- command, and TYPE was allowed for all KEYS.
local LEAVES_KEY = {SADD = true, INCR = true}

local function trial(command)
  local arguments = {
    XADD = {'0-0', 'f', 'v'}, SET = {'', 'NX', 'XX'}, HSET = {'f', 'v', 'f'}, ZADD = {'NX', 'XX', '0', 'm'},
    HDEL = {'m'}, SREM = {'m'}, ZREM = {'m'}, DEL = {}, UNLINK = {}, SADD = {'m'}, INCR = {}, GET = {},
  }
  return arguments[command]
end

local function refusal_by_trial(command, key)
  local reply = redis.pcall(command, key, unpack(trial(command)))
  -- An error about the command's arguments has no such prefix.
  local message = type(reply) == 'table' and reply.err and string.match(reply.err, '^@user_script: %d+: %-?([^\r\n]*)')
  if message then
    return string.find(message, "executing the script can't", 1, true) and no_right(command) or redis.error_reply(message)
  end
  return nil
end

-- Where the chain of audit events ends: the number, id and hash of the newest event.
local function head_of(audit)
  return audit .. ':head'
end

-- The error for the first listed write that Redis would refuse, or nil.
local function refusal(audit)
  if redis.acl_check_cmd then
    for _, words in ipairs(writes) do
      if not redis.acl_check_cmd(words[1], words[2]) then
        return no_right(words[1])
      end
    end
    for _, command in ipairs({'GET', 'SET'}) do
      if not redis.acl_check_cmd(command, head_of(audit)) then
        return no_right(command)
      end
    end
    return not redis.acl_check_cmd('XADD', audit) and no_right('XADD') or nil
  end
  local key = absent_key()
  local refused = refusal_by_trial('XADD', key) or refusal_by_trial('GET', key) or refusal_by_trial('SET', key)
  local tried = {}
  for _, words in ipairs(writes) do
    local command = words[1]
    if not refused and not tried[command] then
      tried[command] = true
      refused = LEAVES_KEY[command] and refusal_by_trial('DEL', key) or refusal_by_trial(command, key)
      if LEAVES_KEY[command] and not refused then
        redis.call('DEL', key)
      end
    end
  end
  return refused
end

-- Whether the user may run this command; for commands that have a substitute.
local function is_allowed(command, key)
  if redis.acl_check_cmd then
    return redis.acl_check_cmd(command, key)
  end
  return refusal_by_trial(command, absent_key()) == nil
end

-- Make Redis accept the writes although it is out of memory: it refuses only the first write of a script, and
-- only if that needs memory. So make a first write that needs none and changes nothing.
local function start_without_memory()
  local needs_none, command = {DEL = true, HDEL = true, SREM = true, ZREM = true}, 'DEL'
  for _, words in ipairs(writes) do
    command = needs_none[words[1]] and words[1] or command
  end
  redis.pcall(command, absent_key(), unpack(trial(command)))
end

-- Add the event to the audit stream, chained to the one before: `chain` is its number, the limit to which it
-- trims, and the id and hash of its predecessor. Its own hash, over `chain`, `timestamp` and `event`, is in the
-- head and in the event after it. A head that is missing or damaged starts a new chain.
local function record(audit, maxlen, event)
  local head, time = head_of(audit), server_time()
  local stored = redis.pcall('GET', head)
  local number, before = string.match(type(stored) == 'string' and stored or '', '^(%d+) (%d+%-%d+ %x+)$')
  number = string.format('%.0f', (tonumber(number) or 0) + 1)
  local chain = number .. ' ' .. maxlen .. ' ' .. (before or '0-0 -')
  local id = redis.call('XADD', audit, 'MAXLEN', '~', maxlen, '*', 'timestamp', time, 'event', event, 'chain', chain)
  redis.call('SET', head, number .. ' ' .. id .. ' ' .. redis.sha1hex(chain .. '\n' .. time .. '\n' .. event))
end

-- Write the audit event and make all listed writes, or none. With `frees`, also if Redis is out of memory: for
-- changes that free memory or help to. Returns {1}, or the error.
local function commit(audit, maxlen, event, frees)
  if frees then
    start_without_memory()
  end
  local refused = refusal(audit)
  if refused then
    return refused
  end
  record(audit, maxlen, event)
  for _, words in ipairs(writes) do
    redis.call(unpack(words))
  end
  return {1}
end

-- The list at ARGV[from]: its length, then its members. Returns the members and the index after them.
local function members_at(from)
  local members = {}
  local count = tonumber(ARGV[from])
  for i = 1, count do
    members[i] = ARGV[from + i]
  end
  return members, from + count + 1
end

local function all_present(key, members)
  for _, member in ipairs(members) do
    if not redis.call('ZSCORE', key, member) then
      return false
    end
  end
  return true
end

local function remove_members(key, members)
  for _, member in ipairs(members) do
    take('ZREM', key, member)
  end
end

-- Delete a set: by UNLINK if the user may, because DEL of a large set blocks Redis.
local function drop_set(key)
  if present[key] then
    take(is_allowed('UNLINK', key) and 'UNLINK' or 'DEL', key)
  end
end

-- Whether another job of the queue uses one of this job's keys: `jobs:Q:a:payload` is the record of the job
-- `a:payload`, and the payload part of `a`. The same holds for sets of parents and children.
local function shares_key(ids, job_id)
  local others = {
    job_id .. ':payload',
    string.match(job_id, '^(.*):payload$') or job_id,
    (string.gsub(job_id, '^parent:(.*)$', '%1:pending')),
    (string.gsub(job_id, '^(.*):pending$', 'parent:%1')),
  }
  for _, other in ipairs(others) do
    if other ~= job_id and redis.call('SISMEMBER', ids, other) == 1 then
      return true
    end
  end
  return false
end

-- Whether INCR accepts the waiting sequence. It also accepts a missing one.
local function is_countable(sequence)
  local count = redis.call('GET', sequence)
  return not count or count == '0' or (#count < 16 and string.match(count, '^[1-9]%d*$') ~= nil)
end

-- Add a job to the waiting set, after the jobs of the same priority.
local function enqueue(waiting, sequence, priority, job_id)
  local number = tonumber(redis.call('GET', sequence) or 0) + 1
  write('INCR', sequence)
  write('ZADD', waiting, tonumber(priority) * 1000000000000 + number, job_id)
end

-- Write a record and a payload part; with '' delete the payload part.
local function write_record(record_key, payload_key, record, payload)
  write('SET', record_key, record)
  if payload ~= '' then
    write('SET', payload_key, payload)
  else
    take('DEL', payload_key)
  end
end

-- The job's entry in the states hash, or '' if it has none.
local function state_of(states, job_id)
  return redis.call('HGET', states, job_id) or ''
end
