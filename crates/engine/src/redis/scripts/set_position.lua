-- Sets the position of a group. What it reads again is new: nothing that was noted of it before counts.
-- KEYS: stream, notes.
-- ARGV: group; '$', '0' or an id.
-- Returns: OK.
tidy(KEYS[1], ARGV[1], KEYS[2])
return redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], ARGV[2])
