-- Claims entries that are still overdue, and raises their delivery counts. May stop early when the answer is large.
-- KEYS: stream, notes, consumers.
-- ARGV: group, consumer, instance, least idle time; then the ids.
-- Returns: for each entry its id, delivery count, whether it was begun, since when unhandled, its fields;
--          and the ids of entries that were deleted. Nothing when the consumer's name is another's.
local stream, notes, consumers, group, consumer = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2]
if not is_mine(consumers, consumer, ARGV[3]) then
    -- Says so when there is no group.
    redis.call('XPENDING', stream, group)
    return { {}, {} }
end
for i = 5, #ARGV do
    local row = redis.call('XPENDING', stream, group, ARGV[i], ARGV[i], 1)[1]
    if row and row[3] >= tonumber(ARGV[4]) then
        collect(stream, notes, group, consumer, row[1], row[4] + 1)
    end
    if is_full() then
        break
    end
end
return { entries, deleted }
