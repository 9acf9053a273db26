-- Claims entries that are still overdue, or were put off and are due, and raises their delivery counts. That of an entry
-- that a consumer of another program had becomes 1. May stop early when the answer is large.
-- KEYS: stream, notes, consumers, due.
-- ARGV: group, consumer, instance, least idle time, the consumer for what is not due, '1' to claim that before it is
--       due, least idle time of what a consumer of another program has; then the ids.
-- Returns: for each entry its id, delivery count, whether it was begun, since when unhandled, in how many milliseconds
--          it is due or nil, its fields; and the ids of entries that were deleted. Nothing when the consumer's name is
--          another's.
local stream, notes, consumers, dues, group, consumer = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[2]
if not is_mine(consumers, consumer, ARGV[3]) then
    -- Says so when there is no group.
    redis.call('XPENDING', stream, group)
    return { {}, {} }
end
local now = time()
local any_due = redis.call('EXISTS', dues) == 1
for i = 8, #ARGV do
    local row = redis.call('XPENDING', stream, group, ARGV[i], ARGV[i], 1)[1]
    local wait = row and any_due and wait_of(dues, row[1], now) or nil
    local is_delayed = row and row[2] == ARGV[5]
    local foreign = row and is_foreign(consumers, row[2], ARGV[5])
    if foreign and row[3] >= tonumber(ARGV[7]) then
        -- What other programs have delivered is no attempt of ours.
        collect(stream, notes, dues, group, consumer, row[1], 1, wait, wait and wait > 0 and wait)
    elseif foreign then
        -- It is left to them.
    elseif is_delayed and (ARGV[6] == '1' or (wait or 0) == 0) then
        collect(stream, notes, dues, group, consumer, row[1], row[4] + 1, wait, wait or 0)
    elseif row and not is_delayed and row[3] >= tonumber(ARGV[4]) then
        -- Of an entry that its owner held until it is due, the count is that of the next attempt already.
        local waits = wait and wait > 0
        collect(stream, notes, dues, group, consumer, row[1], row[4] + (waits and 0 or 1), wait, waits and wait)
    end
    if is_full() then
        break
    end
end
if #entries > 0 then
    -- Who claims is ours. A server that is out of memory may refuse to note it.
    redis.pcall('HSETNX', consumers, consumer, ARGV[3] .. ' 0')
end
return { entries, deleted }
