-- Removes a group and what is kept of it.
-- KEYS: stream, then all keys of the group: facts, patterns, consumers, notes, skipped, tasks.
-- ARGV: group.
-- Returns: 1, or 0 when there was none.
local removed = 0
if group_of(KEYS[1], ARGV[1]) then
    removed = redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
end
redis.call('DEL', unpack(KEYS, 2))
return removed
