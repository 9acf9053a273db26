-- Lists the entries that were put off and are due, and behind them those that nobody has renewed for a while, oldest
-- first.
-- KEYS: stream, due, consumers.
-- ARGV: group, the consumer for what is not due, least idle time, how many at the most, '1' to list what was put off
--       before it is due, oldest first; least idle time of what a consumer of another program has; '1' where the clock
--       has gone back: an entry that was renewed in what is the future now counts as renewed now.
-- Returns: for each entry its id, its consumer, its idle time, its delivery count and 1 where the consumer is of another
--          program; in how many milliseconds the next one is due, or nil; and 1 where consumers of other programs have
--          entries that are idle for longer than those of ours may be, or may have some; and the time.
local stream, dues, consumers, group, delayed = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2]
local most, early = tonumber(ARGV[4]), ARGV[5] == '1'
local rows, others, waits = {}, {}, 0

-- Adds what is said of its consumer to a row.
local function told(row)
    row[5] = is_foreign(consumers, row[2], delayed) and 1 or 0
    return row
end

local now = time()
if ARGV[7] == '1' then
    local from = '-'
    for _ = 1, 10 do
        local page = redis.call('XPENDING', stream, group, from, '+', 1000)
        for _, row in ipairs(page) do
            -- A time in the future looks idle for 0 ms. To claim what is not in the stream any more would settle it unsaid.
            if row[3] == 0 and redis.call('XRANGE', stream, row[1], row[1])[1] then
                redis.call('XCLAIM', stream, group, row[2], 0, row[1], 'JUSTID')
            end
            from = '(' .. row[1]
        end
        if #page < 1000 then
            break
        end
    end
end
local any_due = redis.call('EXISTS', dues) == 1
if not any_due then
    for _, row in ipairs(redis.call('XPENDING', stream, group, 'IDLE', ARGV[3], '-', '+', most)) do
        rows[#rows + 1] = told(row)
        waits = math.max(waits, row[5])
    end
    if waits == 0 then
        return { rows, false, 0, now }
    end
    rows = {}
end
for _, id in ipairs(any_due and redis.call('ZRANGEBYSCORE', dues, '-inf', now, 'LIMIT', 0, most) or {}) do
    local row = redis.call('XPENDING', stream, group, id, id, 1, delayed)[1]
    if row then
        rows[#rows + 1] = told(row)
    else
        -- It is somebody's, who knows, or pending no more.
        redis.call('ZREM', dues, id)
    end
end
if any_due and early then
    rows = {}
    for _, row in ipairs(redis.call('XPENDING', stream, group, '-', '+', most, delayed)) do
        rows[#rows + 1] = told(row)
    end
end
-- Of each consumer by itself, as one may own very many that nobody is to claim yet: the one for what is not due, and
-- those of other programs.
for _, owner in ipairs(redis.call('XPENDING', stream, group)[4] or {}) do
    if owner[1] ~= delayed and #rows < most then
        local foreign = is_foreign(consumers, owner[1], delayed)
        local idle = foreign and ARGV[6] or ARGV[3]
        for _, row in ipairs(redis.call('XPENDING', stream, group, 'IDLE', idle, '-', '+', most, owner[1])) do
            others[#others + 1] = told(row)
        end
        waits = foreign and 1 or waits
    end
end
table.sort(others, function(a, b) return below(a[1], b[1]) end)
for i = 1, math.min(#others, most - #rows) do
    rows[#rows + 1] = others[i]
end
local next = any_due and not early
    and redis.call('ZRANGEBYSCORE', dues, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
return { rows, next and tonumber(next) - now or false, waits, now }
