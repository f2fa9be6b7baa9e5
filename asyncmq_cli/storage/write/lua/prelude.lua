-- Shared by every script; it is put in front of each.
--
-- Redis does not undo what a script has written when it refuses a later command. So a script writes
-- nothing by itself: it checks, lists its writes with `write`, and `commit` makes all of them or none.
-- Whether Redis takes a command depends on the user's rights and on the state of the server, and
-- neither changes while a script runs. So `commit` finds out about each write before it makes the
-- first. Memory is different: Redis refuses the first write of a script, and none after it. So the
-- audit event is the first.
--
-- What puts a job somewhere is listed before what takes it away: should a write fail for a reason that
-- nobody has foreseen, the job is in two places, which the doctor finds, and never in none.

-- What a key holds, by the name that the scripts give it.
local TYPES = {
  waiting = 'zset', delayed = 'zset', dlq = 'zset', repeatables = 'zset',
  record = 'string', payload = 'string', sequence = 'string', paused = 'string', lock = 'string',
  ids = 'set', cancelled = 'set', pending = 'set', children = 'set',
  states = 'hash', results = 'hash', active = 'hash', heartbeats = 'hash', restored = 'hash',
  audit = 'stream', metrics = 'stream',
}

-- The KEYS of all that there is of one job, as remove.lua and restore.lua have them.
local WHOLE_JOB = 'waiting delayed dlq record payload ids states results active heartbeats cancelled pending children audit'

-- Whether there is anything under one of the KEYS.
local present = {}

-- KEYS by these names, and from `rest` on those behind them, which are sets of children. Instead of
-- them {-9, i} for the first that is neither absent nor of its type.
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

-- Epoch seconds, the same in all of a script. The time is the server's, so that the events of all
-- operators are in one order.
local function server_time()
  if not moment then
    local now = redis.call('TIME')
    moment = now[1] .. '.' .. string.format('%06d', tonumber(now[2]))
  end
  return moment
end

local writes = {}

-- List a command for `commit`; its key is the first argument and the only one.
local function write(command, ...)
  writes[#writes + 1] = {command, ...}
end

-- The same of a command that takes something away, unless there is nothing under its key.
local function take(command, key, ...)
  if present[key] then
    write(command, key, ...)
  end
end

local function no_right(command)
  return redis.error_reply("NOPERM no right to run '" .. string.lower(command) .. "' on a key of the change")
end

-- A key that is not there, among those that the user may touch.
local function absent_key()
  local key = KEYS[1] .. ':asyncmq-cli'
  while redis.call('TYPE', key)['ok'] ~= 'none' do
    key = key .. '~'
  end
  return key
end

-- Redis before 7.0 cannot be asked about rights: a command has to be tried, on a key that is not there.
-- With these arguments it changes nothing, or what is deleted at once. Such a Redis knows no rights that
-- differ from key to key, and TYPE was allowed for all of them.
local LEAVES_KEY = {SADD = true, INCR = true}

local function trial(command)
  local arguments = {
    XADD = {'0-0', 'f', 'v'}, SET = {'', 'NX', 'XX'}, HSET = {'f', 'v', 'f'}, ZADD = {'NX', 'XX', '0', 'm'},
    HDEL = {'m'}, SREM = {'m'}, ZREM = {'m'}, DEL = {}, UNLINK = {}, SADD = {'m'}, INCR = {},
  }
  return arguments[command]
end

local function refusal_by_trial(command, key)
  local reply = redis.pcall(command, key, unpack(trial(command)))
  -- What a command says of its arguments does not begin so.
  local told = type(reply) == 'table' and reply.err and string.match(reply.err, '^@user_script: %d+: %-?([^\r\n]*)')
  if told then
    return string.find(told, "executing the script can't", 1, true) and no_right(command) or redis.error_reply(told)
  end
  return nil
end

-- What Redis would say to the first of the listed writes that it would refuse, or nil.
local function refusal(audit)
  if redis.acl_check_cmd then
    for _, words in ipairs(writes) do
      if not redis.acl_check_cmd(words[1], words[2]) then
        return no_right(words[1])
      end
    end
    return not redis.acl_check_cmd('XADD', audit) and no_right('XADD') or nil
  end
  local key = absent_key()
  local refused = refusal_by_trial('XADD', key)
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

-- Whether the user may run this command, which no change depends on.
local function is_allowed(command, key)
  if redis.acl_check_cmd then
    return redis.acl_check_cmd(command, key)
  end
  return refusal_by_trial(command, absent_key()) == nil
end

-- Have Redis take the writes that follow though it is out of memory: it refuses none after a first one
-- that needs none. This one changes nothing.
local function start_without_memory()
  local needs_none, command = {DEL = true, HDEL = true, SREM = true, ZREM = true}, 'DEL'
  for _, words in ipairs(writes) do
    command = needs_none[words[1]] and words[1] or command
  end
  redis.pcall(command, absent_key(), unpack(trial(command)))
end

-- Write the audit event and all that is listed, or nothing. What `frees` memory, or helps to, is done on
-- a full Redis too. Returns {1}, or the error.
local function commit(audit, maxlen, event, frees)
  if frees then
    start_without_memory()
  end
  local refused = refusal(audit)
  if refused then
    return refused
  end
  redis.call('XADD', audit, 'MAXLEN', '~', maxlen, '*', 'timestamp', server_time(), 'event', event)
  for _, words in ipairs(writes) do
    redis.call(unpack(words))
  end
  return {1}
end

-- The members ARGV[from + 1 ..] whose number ARGV[from] gives, and the index after them.
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

-- Take a set away; where the user may, without holding Redis up for as long as a large one takes.
local function drop_set(key)
  if present[key] then
    take(is_allowed('UNLINK', key) and 'UNLINK' or 'DEL', key)
  end
end

-- Whether a job of the queue has an id by which it uses a key of this job, too: `a:payload` is the record of
-- one job and the payload part of the other. So it is with sets of parents and of children.
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

-- Whether INCR can count the waiting set's sequence on; one that is not there it can.
local function is_countable(sequence)
  local count = redis.call('GET', sequence)
  return not count or count == '0' or (#count < 16 and string.match(count, '^[1-9]%d*$') ~= nil)
end

-- Put a job behind those of its priority that wait.
local function enqueue(waiting, sequence, priority, job_id)
  local number = tonumber(redis.call('GET', sequence) or 0) + 1
  write('INCR', sequence)
  write('ZADD', waiting, tonumber(priority) * 1000000000000 + number, job_id)
end

-- Put a record, and a payload part or none ('') in the place of those that there are.
local function write_record(record_key, payload_key, record, payload)
  write('SET', record_key, record)
  if payload ~= '' then
    write('SET', payload_key, payload)
  else
    take('DEL', payload_key)
  end
end

-- The job's entry in the states hash, '' where it has none.
local function state_of(states, job_id)
  return redis.call('HGET', states, job_id) or ''
end
