-- Removes a group and what is kept of it.
-- KEYS: stream, then all keys of the group: facts, patterns, consumers, notes, skipped, tasks, due.
-- ARGV: group.
-- Returns: 1, or 0 when there was none.
local removed = 0
local group, failure = group_of(KEYS[1], ARGV[1])
if group then
    removed = redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
elseif string.sub(failure.err, 1, 7) ~= 'NOGROUP' then
    return failure
end
redis.call('DEL', unpack(KEYS, 2))
return removed
