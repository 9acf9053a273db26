-- Registers the streams that a client is configured with, by the server's time.
-- KEYS: the registry, a hash: name → time and patterns.
-- ARGV: how many streams stay at the most; then for each stream its name and its patterns as JSON.
local registry, most = KEYS[1], tonumber(ARGV[1])
local now = string.format('%.0f', time())
for i = 2, #ARGV, 2 do
    redis.call('HSET', registry, ARGV[i], now .. ' ' .. ARGV[i + 1])
end
-- A script that writes twice is kept as a transaction, and its end completes one that a crash of the server has cut: without
-- it, what is stored behind that is dropped when the server starts again (docs/design/torn-transactions.md).
redis.call('HSET', registry, ARGV[2], now .. ' ' .. ARGV[3])
local over = redis.call('HLEN', registry) - most
if over > 0 then
    local all, streams = redis.call('HGETALL', registry), {}
    for i = 1, #all, 2 do
        streams[#streams + 1] = { tonumber(string.match(all[i + 1], '^%d+')) or 0, all[i] }
    end
    table.sort(streams, function(a, b)
        if a[1] ~= b[1] then
            return a[1] < b[1]
        end
        return a[2] < b[2]
    end)
    for i = 1, over do
        redis.call('HDEL', registry, streams[i][2])
    end
end
return 0
