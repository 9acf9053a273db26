-- Appends a copy of an entry for one group only.
-- KEYS: stream.
-- ARGV: group, id; the names of fields: the one for the only group of an entry, and the prefix of a dead letter's.
-- Returns: the new id; nil when the entry is gone.
local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
if not entry then
    return false
end
local fields = copied(entry[2], ARGV[3], ARGV[4], {})
fields[#fields + 1] = ARGV[3]
fields[#fields + 1] = ARGV[1]
return redis.call('XADD', KEYS[1], '*', unpack(fields))
