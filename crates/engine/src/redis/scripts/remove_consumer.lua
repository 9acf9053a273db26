-- Ends a consumer: its heartbeat, and itself if it owns nothing. One whose name another instance took is left alone.
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
    redis.call('HDEL', consumers, consumer)
    if owned == 0 then
        redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer)
    end
end
return owned
