-- Moves a dead letter back to its stream as a new entry.
-- KEYS: dead letters, the stream that the letter names.
-- ARGV: id, '1' for the group only that it came from.
-- Returns: the new id; nil when the letter is gone.
local letter = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not letter then
    return false
end
local of = named(letter[2])
if of['dlq-stream'] ~= KEYS[2] then
    return false
end
local fields = copied(letter[2])
if ARGV[2] == '1' and of['dlq-group'] then
    fields[#fields + 1] = 'group'
    fields[#fields + 1] = of['dlq-group']
end
if #fields == 0 then
    return false
end
local id = redis.call('XADD', KEYS[2], '*', unpack(fields))
redis.call('XDEL', KEYS[1], ARGV[1])
return id
