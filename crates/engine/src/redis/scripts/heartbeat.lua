-- Says that a consumer lives, and keeps the facts of its group.
-- KEYS: stream, facts, patterns, consumers.
-- ARGV: group, consumer, instance, milliseconds it counts as alive, lease, low-water mark or '', then patterns.
-- Returns: the time and the instance that lives under this consumer's name, if another does; else the time, nil,
--          the lease, the patterns, the last delivered id, and the oldest pending id or nil.
local stream, facts, patterns, consumers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local consumer, instance = ARGV[2], ARGV[3]
local group, failure = group_of(stream, ARGV[1])
if not group then
    return failure
end
local now = time()
local held = redis.call('HGET', consumers, consumer)
if held then
    local other, expiry = string.match(held, '^(.*) (%d+)$')
    if other and other ~= instance and tonumber(expiry) > now then
        return { now, other }
    end
end

-- A server that is out of memory lets a script go on that has written before, and this frees some.
redis.call('ZREMRANGEBYSCORE', patterns, '-inf', string.format('(%.0f', now - 3600000))
for i = 7, #ARGV do
    redis.call('ZADD', patterns, now, ARGV[i])
end
redis.call('HSET', consumers, consumer, string.format('%s %.0f', instance, now + tonumber(ARGV[4])))
redis.call('HSETNX', facts, 'lease', ARGV[5])
if ARGV[6] ~= '' then
    redis.call('HSET', facts, 'mark', ARGV[6])
end

redis.call('HSET', facts, 'seen', now)

return {
    now, false, redis.call('HGET', facts, 'lease'), redis.call('ZRANGE', patterns, 0, -1), group['last-delivered-id'],
    redis.call('XPENDING', stream, ARGV[1])[2],
}
