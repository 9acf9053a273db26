-- Hands entries back, fenced: idle for an hour, they are overdue for everybody.
-- KEYS: stream, notes.
-- ARGV: group, consumer, '1' to note since when there is no handler; then id, delivery count for each, ids ascending.
-- Returns: the ids that the consumer does not own; from 7 on also those whose entry is gone.
local stream, notes, group, consumer = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local ids, lost = {}, {}
for i = 4, #ARGV, 2 do
    ids[#ids + 1] = ARGV[i]
end
local mine = owned(stream, group, consumer, ids)
local now = time()
for i = 4, #ARGV, 2 do
    local id, count = ARGV[i], ARGV[i + 1]
    local kept = mine[id] and redis.call(
        'XCLAIM', stream, group, consumer, 0, id, 'IDLE', 3600000, 'RETRYCOUNT', count, 'JUSTID')[1]
    if not kept then
        lost[#lost + 1] = id
    else
        redis.call('HDEL', notes, 'b' .. id)
        if ARGV[3] == '1' then
            redis.call('HSETNX', notes, 'u' .. id, now)
        end
    end
end
return lost
