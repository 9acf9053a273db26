-- Sets the position of a group. What it reads again is new: nothing that was noted of it before counts.
-- KEYS: stream, notes, facts, skipped, tasks.
-- ARGV: group; '$', '0' or an id.
-- Returns: OK.
tidy(KEYS[1], ARGV[1], KEYS[2], '0')
local answer = redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], ARGV[2])
redis.call('DEL', KEYS[4], KEYS[5])
redis.call('HDEL', KEYS[3], 'unread', 'givenUp')
return answer
