-- Moves a dead letter of a list back to its stream as a new entry.
-- KEYS: the list, the stream. ARGV: the letter; the fields of the entry.
-- Returns: the new id; nil when the letter is gone.
if not redis.call('LPOS', KEYS[1], ARGV[1]) then
    return false
end
-- What the server refuses leaves the letter where it is.
local id = redis.call('XADD', KEYS[2], '*', unpack(ARGV, 2))
redis.call('LREM', KEYS[1], -1, ARGV[1])
return id
