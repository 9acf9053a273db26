-- The pending entries of a consumer, oldest first, renewed. May stop early when the answer is large.
-- KEYS: stream, notes.
-- ARGV: group, consumer; behind which id; how many at the most; '1' to raise their delivery counts.
-- Returns: as claim.lua.
local stream, notes, group, consumer = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
for _, row in ipairs(redis.call('XPENDING', stream, group, '(' .. ARGV[3], '+', ARGV[4], consumer)) do
    collect(stream, notes, group, consumer, row[1], row[4] + tonumber(ARGV[5]))
    if is_full() then
        break
    end
end
return { entries, deleted }
