-- Write one audit event that goes with no change: a refused or failed attempt.
--
-- KEYS  1 audit stream
-- ARGV  1 audit maxlen 2 audit event
--
-- Returns {1}      done
--         {-9, 1}  the audit stream is of a wrong type
local bad = wrong_type({'stream'})
if bad then
  return {-9, bad}
end
record_event(KEYS[1], ARGV[1], ARGV[2])
return {1}
