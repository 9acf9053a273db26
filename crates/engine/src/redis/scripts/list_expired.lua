-- Lists the entries that were put off and are due, and behind them those that nobody has renewed for a while, oldest
-- first.
-- KEYS: stream, due.
-- ARGV: group, the consumer for what is not due, least idle time, how many at the most, '1' to list what was put off
--       before it is due, oldest first.
-- Returns: for each entry its id, its consumer, its idle time and its delivery count; and in how many milliseconds the
--          next one is due, or nil.
local stream, dues, group, delayed = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local most, early = tonumber(ARGV[4]), ARGV[5] == '1'
if redis.call('EXISTS', dues) == 0 then
    return { redis.call('XPENDING', stream, group, 'IDLE', ARGV[3], '-', '+', most), false }
end
local now = time()
local rows, others = {}, {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', dues, '-inf', now, 'LIMIT', 0, most)) do
    local row = redis.call('XPENDING', stream, group, id, id, 1, delayed)[1]
    if row then
        rows[#rows + 1] = row
    else
        -- It is somebody's, who knows, or pending no more.
        redis.call('ZREM', dues, id)
    end
end
if early then
    rows = redis.call('XPENDING', stream, group, '-', '+', most, delayed)
end
-- Of each consumer but the one for what is not due, which may own very many.
for _, owner in ipairs(redis.call('XPENDING', stream, group)[4] or {}) do
    if owner[1] ~= delayed and #rows < most then
        for _, row in ipairs(redis.call('XPENDING', stream, group, 'IDLE', ARGV[3], '-', '+', most, owner[1])) do
            others[#others + 1] = row
        end
    end
end
table.sort(others, function(a, b) return below(a[1], b[1]) end)
for i = 1, math.min(#others, most - #rows) do
    rows[#rows + 1] = others[i]
end
local next = not early and redis.call('ZRANGEBYSCORE', dues, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
return { rows, next and tonumber(next) - now or false }
