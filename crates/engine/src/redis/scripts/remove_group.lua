-- Removes a group and what is kept of it.
-- KEYS: stream, facts, patterns, consumers, notes.
-- ARGV: group.
-- Returns: 1, or 0 when there was none.
local removed = 0
local group, failure = group_of(KEYS[1], ARGV[1])
if group then
    removed = redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
elseif string.sub(failure.err, 1, 7) ~= 'NOGROUP' then
    return failure
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
return removed
