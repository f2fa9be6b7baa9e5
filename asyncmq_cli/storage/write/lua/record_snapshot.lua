-- Store a metrics snapshot, unless another was stored a moment ago.
--
-- KEYS  1 metrics stream
-- ARGV  1 how many to keep 2 snapshot, JSON without its time 3 least seconds between two
--
-- Returns {1}      done
--         {0}      another was stored less than ARGV[3] ago; nothing was written
--         {-9, 1}  the metrics stream is of a wrong type
local key, bad = named_keys('metrics')
if bad then
  return bad
end
local timestamp = server_time()
local last = redis.call('XREVRANGE', key.metrics, '+', '-', 'COUNT', 1)[1]
for i = 1, last and #last[2] or 0, 2 do
  -- Not the entry's id: it runs ahead if the server's clock was set back.
  local kept = last[2][i] == 'timestamp' and tonumber(last[2][i + 1])
  if kept and math.abs(tonumber(timestamp) - kept) < tonumber(ARGV[3]) then
    return {0}
  end
end
redis.call('XADD', key.metrics, 'MAXLEN', ARGV[1], '*', 'timestamp', timestamp, 'snapshot', ARGV[2])
return {1}
