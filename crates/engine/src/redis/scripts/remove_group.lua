-- Removes a group and what is kept of it.
-- KEYS: stream, facts, patterns, consumers, notes, due.
-- ARGV: group.
-- Returns: 1, or 0 when there was none.
local removed = 0
if group_of(KEYS[1], ARGV[1]) then
    removed = redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
return removed
