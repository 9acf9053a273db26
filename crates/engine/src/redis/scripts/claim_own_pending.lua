-- The pending entries of a consumer, oldest first, renewed. May stop early when the answer is large.
-- KEYS: stream, notes, consumers, due.
-- ARGV: group, consumer, instance; behind which id; how many at the most; '1' to raise their delivery counts, but not
--       of what is not due.
-- Returns: as claim.lua.
local stream, notes, consumers, dues, group, consumer = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[2]
if not is_mine(consumers, consumer, ARGV[3]) then
    -- Says so when there is no group.
    redis.call('XPENDING', stream, group)
    return { {}, {} }
end
local now = time()
local any_due = redis.call('EXISTS', dues) == 1
for _, row in ipairs(redis.call('XPENDING', stream, group, '(' .. ARGV[4], '+', ARGV[5], consumer)) do
    local wait = any_due and wait_of(dues, row[1], now) or nil
    local waits = wait and wait > 0
    local count = row[4] + (waits and 0 or tonumber(ARGV[6]))
    collect(stream, notes, dues, group, consumer, row[1], count, wait, waits and wait)
    if is_full() then
        break
    end
end
return { entries, deleted }
