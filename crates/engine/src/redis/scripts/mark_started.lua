-- Notes that a suspect entry begins to run, fenced.
-- KEYS: stream, notes, consumers.
-- ARGV: group, consumer, instance, id.
-- Returns: the id if the consumer does not own it; the id if its entry is gone.
local stream, notes, consumers = KEYS[1], KEYS[2], KEYS[3]
local group, consumer, id = ARGV[1], ARGV[2], ARGV[4]
if not owned(stream, consumers, group, consumer, ARGV[3], { id })[id] then
    return { { id }, {} }
end
if not redis.call('XRANGE', stream, id, id)[1] then
    redis.call('XACK', stream, group, id)
    redis.call('HDEL', notes, 'b' .. id, 'u' .. id)
    return { {}, { id } }
end
-- A server that is out of memory lets a script go on that has written before.
redis.call('HDEL', notes, 'b' .. id)
redis.call('HSET', notes, 'b' .. id, consumer)
return { {}, {} }
