-- Who is in a room now. It only reads, unless the clock has gone back: who is added next removes those whose time is over.
-- KEYS: the room, a sorted set by the time until when.
-- ARGV: for how many milliseconds somebody is in it at the most.
local now = time()
if shorten(KEYS[1], now + tonumber(ARGV[1])) then
    redis.pcall('PEXPIRE', KEYS[1], ARGV[1])
end
return redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')
