-- Shared by every script; it is put in front of each.
--
-- A script checks everything before it writes anything: Redis does not undo what a script has
-- done when a later command in it fails. The audit event is the first write, because it is the
-- only one that may still be refused (no memory left) once the types are known to be right.

-- The first i for which KEYS[i] is neither absent nor of the type types[i], or nil.
local function wrong_type(types)
  for i, expected in ipairs(types) do
    local found = redis.call('TYPE', KEYS[i])['ok']
    if found ~= 'none' and found ~= expected then
      return i
    end
  end
  return nil
end

-- Epoch seconds. The time is the server's, so that the events of all operators are in one order.
local function server_time()
  local now = redis.call('TIME')
  return now[1] .. '.' .. string.format('%06d', tonumber(now[2]))
end

local function record_event(stream, maxlen, event)
  redis.call('XADD', stream, 'MAXLEN', '~', maxlen, '*', 'timestamp', server_time(), 'event', event)
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
    redis.call('ZREM', key, member)
  end
end

-- Whether INCR can count the waiting set's sequence on; one that is not there it can.
local function is_countable(sequence)
  local count = redis.call('GET', sequence)
  return not count or count == '0' or (#count < 16 and string.match(count, '^[1-9]%d*$') ~= nil)
end

-- Put a job behind those of its priority that wait.
local function enqueue(waiting, sequence, priority, job_id)
  local score = tonumber(priority) * 1000000000000 + redis.call('INCR', sequence)
  redis.call('ZADD', waiting, score, job_id)
end

-- Put a record, and a payload part or none ('') in the place of those that there are.
local function write_record(record_key, payload_key, record, payload)
  redis.call('SET', record_key, record)
  if payload ~= '' then
    redis.call('SET', payload_key, payload)
  else
    redis.call('DEL', payload_key)
  end
end

-- The job's entry in the states hash, '' where it has none.
local function state_of(states, job_id)
  return redis.call('HGET', states, job_id) or ''
end
