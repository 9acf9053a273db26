-- Nobody is in a room until later than `latest`: such a time is of before the server's clock went back. Returns whether there was
-- one; of very many some are shortened at a time. Not every user may do so.
local function shorten(room, latest)
    local beyond = redis.call(
        'ZRANGEBYSCORE', room, string.format('(%.0f', latest), '+inf', 'LIMIT', 0, 1000)
    for _, entry in ipairs(beyond) do
        redis.pcall('ZADD', room, string.format('%.0f', latest), entry)
    end
    return #beyond > 0
end

