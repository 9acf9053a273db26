-- Claims entries that are still overdue, and raises their delivery counts. May stop early when the answer is large.
-- KEYS: stream, notes.
-- ARGV: group, consumer, least idle time; then the ids.
-- Returns: for each entry its id, delivery count, whether it was begun, since when unhandled, its fields;
--          and the ids of entries that were deleted.
local stream, notes, group, consumer = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
for i = 4, #ARGV do
    local row = redis.call('XPENDING', stream, group, ARGV[i], ARGV[i], 1)[1]
    if row and row[3] >= tonumber(ARGV[3]) then
        collect(stream, notes, group, consumer, row[1], row[4] + 1)
    end
    if is_full() then
        break
    end
end
return { entries, deleted }
