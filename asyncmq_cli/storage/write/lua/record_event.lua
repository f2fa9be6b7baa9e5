-- Write one audit event without a change: a refused or failed attempt.
--
-- KEYS  1 audit stream
-- ARGV  1 audit maxlen 2 audit event
--
-- Returns {1}      done
--         {-9, 1}  the audit stream is of a wrong type
local key, bad = named_keys('audit')
if bad then
  return bad
end
return commit(key.audit, ARGV[1], ARGV[2])
