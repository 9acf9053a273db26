-- Who is in a room now. It only reads: who is added next removes those whose time is over.
-- KEYS: the room, a sorted set by the time until when.
return redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', time()), '+inf')
