-- Says who is in a room, by the server's time, or is not any more.
-- KEYS: the room, a sorted set by the time until when.
-- ARGV: for how many milliseconds, 0 for those who go; then who.
local room, ttl = KEYS[1], tonumber(ARGV[1])
if ttl == 0 then
    redis.call('ZREM', room, unpack(ARGV, 2))
else
    local now = time()
    redis.call('ZREMRANGEBYSCORE', room, '-inf', string.format('%.0f', now))
    shorten(room, now + ttl)
    for i = 2, #ARGV do
        redis.call('ZADD', room, now + ttl, ARGV[i])
    end
    -- Nobody stays longer than who came last.
    redis.call('PEXPIRE', room, ttl)
end
return 0
