-- Hands entries back, fenced: idle for an hour, they are overdue for everybody.
-- KEYS: stream, notes, consumers.
-- ARGV: group, consumer, instance, '1' to note since when there is no handler, the channel on which others are told or '';
--       then id, delivery count for each, ids ascending.
-- Returns: the ids that the consumer does not own, and, from 7 on, those whose entry is gone.
local stream, notes, consumers, group, consumer = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2]
local ids, taken, gone = {}, {}, {}
for i = 6, #ARGV, 2 do
    ids[#ids + 1] = ARGV[i]
end
local mine = owned(stream, consumers, group, consumer, ARGV[3], ids)
local now = time()
for i = 6, #ARGV, 2 do
    local id, count = ARGV[i], ARGV[i + 1]
    local kept = mine[id] and redis.call(
        'XCLAIM', stream, group, consumer, 0, id, 'IDLE', 3600000, 'RETRYCOUNT', count, 'JUSTID')[1]
    if not mine[id] then
        taken[#taken + 1] = id
    elseif not kept then
        gone[#gone + 1] = id
        redis.call('HDEL', notes, 'b' .. id, 'u' .. id)
    else
        redis.call('HDEL', notes, 'b' .. id)
        if ARGV[4] == '1' then
            redis.call('HSETNX', notes, 'u' .. id, now)
        end
    end
end
if ARGV[5] ~= '' and #taken + #gone < #ids then
    -- Whoever may not do that has peers that look by themselves.
    redis.pcall('PUBLISH', ARGV[5], stream .. '\n' .. group)
end
return { taken, gone }
