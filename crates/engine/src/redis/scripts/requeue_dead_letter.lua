-- Moves a dead letter back to its stream as a new entry.
-- KEYS: dead letters, the stream that the letter names.
-- ARGV: id, the group that it is for ('' for all); the names of fields: the one for the only group of an entry, the prefix of
--       a dead letter's, in a dead letter the one for its stream, and others that it adds.
-- Returns: the new id; nil when the letter is gone.
local letter = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not letter then
    return false
end
local group, only_group, from = ARGV[2], ARGV[3], named(letter[2])[ARGV[5]]
if from and from ~= KEYS[2] then
    return false
end
local others = {}
for i = 6, #ARGV do
    others[ARGV[i]] = true
end
local fields = copied(letter[2], only_group, ARGV[4], others)
if group ~= '' then
    fields[#fields + 1] = only_group
    fields[#fields + 1] = group
end
if #fields == 0 then
    return false
end
local id = redis.call('XADD', KEYS[2], '*', unpack(fields))
redis.call('XDEL', KEYS[1], ARGV[1])
return id
