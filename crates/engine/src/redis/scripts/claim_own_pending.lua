-- The pending entries of a consumer, oldest first, renewed. May stop early when the answer is large.
-- KEYS: stream, notes, consumers.
-- ARGV: group, consumer, instance; behind which id; how many at the most; '1' to raise their delivery counts.
-- Returns: as claim.lua.
local stream, notes, consumers, group, consumer = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2]
if not is_mine(consumers, consumer, ARGV[3]) then
    -- Says so when there is no group.
    redis.call('XPENDING', stream, group)
    return { {}, {} }
end
for _, row in ipairs(redis.call('XPENDING', stream, group, '(' .. ARGV[4], '+', ARGV[5], consumer)) do
    collect(stream, notes, group, consumer, row[1], row[4] + tonumber(ARGV[6]))
    if is_full() then
        break
    end
end
return { entries, deleted }
