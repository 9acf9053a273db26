-- Ends a consumer: its heartbeat, and itself if it owns nothing. One that owns entries is still known as ours: it lives no
-- more. One whose name another instance took is left alone.
-- KEYS: stream, consumers.
-- ARGV: group, consumer, instance.
-- Returns: how many entries it owns.
local stream, consumers, group, consumer = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local owned = 0
for _, row in ipairs(redis.call('XPENDING', stream, group)[4] or {}) do
    if row[1] == consumer then
        owned = tonumber(row[2])
    end
end
if holder(redis.call('HGET', consumers, consumer)) == ARGV[3] then
    if owned == 0 then
        redis.call('HDEL', consumers, consumer)
        redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer)
    else
        -- A server that is out of memory lets a script go on that has written before.
        redis.call('HDEL', consumers, consumer)
        redis.call('HSET', consumers, consumer, ARGV[3] .. ' 0')
    end
end
return owned
