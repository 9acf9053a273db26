-- Who is in a room now.
-- KEYS: the room, a sorted set by the time until when.
local now = string.format('%.0f', time())
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return redis.call('ZRANGE', KEYS[1], 0, -1)
