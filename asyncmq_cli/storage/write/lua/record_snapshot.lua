-- Store a metrics snapshot, unless another was stored a moment ago, and increase the counters by its difference
-- from the last one.
--
-- KEYS  1 metrics stream
-- ARGV  1 how many to keep 2 snapshot, JSON without its time 3 least seconds between two
--
-- Returns {1, c, f, e}  done; so many jobs have completed, failed and expired since counting began
--         {0, c, f, e}  another was stored less than ARGV[3] ago; nothing was written
--         {-9, 1}       the metrics stream is of a wrong type
local key, bad = named_keys('metrics')
if bad then
  return bad
end

-- How many entries are searched for the latest counters: older versions of the tool write entries without them.
local BACK = 50
local LARGEST = 2 ^ 53

local function fields_of(entry)
  local fields = {}
  for i = 1, entry and #entry[2] or 0, 2 do
    fields[entry[2][i]] = entry[2][i + 1]
  end
  return fields
end

-- The text as a count, or nil if it is not a count.
local function count_of(text)
  local count = tonumber(text)
  return count and count >= 0 and count <= LARGEST and math.floor(count) or nil
end

-- Whether an entry has the counter of this name. Older versions of the tool do not count expired jobs.
local function counts(fields, name)
  return count_of(fields.completed_total) and count_of(fields.failed_total) and count_of(fields[name .. '_total'])
end

-- A count in a snapshot, or nil if the snapshot is damaged.
local function count_in(snapshot, name)
  local ok, found = pcall(cjson.decode, snapshot or '')
  return ok and type(found) == 'table' and count_of(found[name]) or nil
end

local function newest(count)
  return redis.call('XREVRANGE', key.metrics, '+', '-', 'COUNT', count)
end

local timestamp = server_time()
local last = fields_of(newest(1)[1])
local entries = nil

-- The newest entry that has the counter of this name, or {}.
local function base_of(name)
  if counts(last, name) then
    return last
  end
  entries = entries or newest(BACK)
  for _, entry in ipairs(entries) do
    if counts(fields_of(entry), name) then
      return fields_of(entry)
    end
  end
  return {}
end

-- The counter of this name before and now. It does not decrease if jobs have been removed or retried.
local function counted(name)
  local base = base_of(name)
  local before, was, is = count_of(base[name .. '_total']) or 0, count_in(base.snapshot, name), count_in(ARGV[2], name)
  return before, before + (was and is and math.max(0, is - was) or 0)
end
local completed_before, completed = counted('completed')
local failed_before, failed = counted('failed')
local expired_before, expired = counted('expired')

-- Not from the entry's id, which is ahead of the clock after the clock was set back.
local kept = tonumber(last.timestamp)
if kept and math.abs(tonumber(timestamp) - kept) < tonumber(ARGV[3]) then
  return {0, completed_before, failed_before, expired_before}
end
redis.call('XADD', key.metrics, 'MAXLEN', ARGV[1], '*', 'timestamp', timestamp, 'snapshot', ARGV[2],
  'completed_total', string.format('%.0f', completed), 'failed_total', string.format('%.0f', failed),
  'expired_total', string.format('%.0f', expired))
return {1, completed, failed, expired}
