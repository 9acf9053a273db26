-- Notes that a suspect entry begins to run, fenced.
-- KEYS: stream, notes.
-- ARGV: group, consumer, id.
-- Returns: the id if the consumer does not own it.
local stream, notes, group, consumer, id = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
if not owned(stream, group, consumer, { id })[id] then
    return { id }
end
-- A server that is out of memory lets a script go on that has written before.
redis.call('HDEL', notes, 'b' .. id)
redis.call('HSET', notes, 'b' .. id, consumer)
return {}
