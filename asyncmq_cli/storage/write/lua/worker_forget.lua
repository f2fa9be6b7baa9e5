-- Delete a worker's heartbeats, as `deregister_worker` of AsyncMQ does.
--
-- KEYS  1 worker heartbeats hash   2 heartbeats hash   3 audit stream
-- ARGV  1 worker id                2 entry found in 1 ('' for none)   3 entry found in 2 ('' for none)
--       4 audit maxlen             5 audit event
--
-- Returns {1}      done
--         {-1}     an entry is not the one found: the worker has written since, or is gone
--         {-9, i}  KEYS[i] is of a wrong type
TYPES.workers = 'hash'
local key, bad = named_keys('workers heartbeats audit')
if bad then
  return bad
end
local id = ARGV[1]
if (redis.call('HGET', key.workers, id) or '') ~= ARGV[2] or (redis.call('HGET', key.heartbeats, id) or '') ~= ARGV[3] then
  return {-1}
end
take('HDEL', key.workers, id)
take('HDEL', key.heartbeats, id)
return commit(key.audit, ARGV[4], ARGV[5], 'frees')
