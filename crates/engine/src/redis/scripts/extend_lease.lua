-- Renews claims, fenced. One whose delivery count is set has ended a call: that it began is forgotten. Whoever renews a
-- claim has a handler, so it is forgotten since when there was none.
-- KEYS: stream, notes, consumers, due.
-- ARGV: group, consumer, instance; then id, delivery count ('' keeps it), milliseconds until it is due ('' for none)
--       for each, ids ascending.
-- Returns: the ids that the consumer does not own, and, from 7 on, those whose entry is gone.
local stream, notes, consumers, dues, group, consumer = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[2]
local ids, taken, gone, renewed, kept = {}, {}, {}, {}, {}
for i = 4, #ARGV, 3 do
    ids[#ids + 1] = ARGV[i]
end
local mine = owned(stream, consumers, group, consumer, ARGV[3], ids)

local function claim(arguments)
    arguments[#arguments + 1] = 'JUSTID'
    for _, id in ipairs(redis.call('XCLAIM', stream, group, consumer, 0, unpack(arguments))) do
        kept[id] = true
    end
end

for i = 4, #ARGV, 3 do
    local id, count, wait = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
    if mine[id] and count == '' then
        renewed[#renewed + 1] = id
    elseif mine[id] then
        claim({ id, 'RETRYCOUNT', count })
        redis.call('HDEL', notes, 'b' .. id, 'u' .. id)
        if wait and kept[id] then
            redis.call('ZADD', dues, string.format('%.0f', time() + wait), id)
        end
    end
end
if #renewed > 0 then
    local unhandled = {}
    if redis.call('EXISTS', notes) == 1 then
        for i, id in ipairs(renewed) do
            unhandled[i] = 'u' .. id
        end
    end
    claim(renewed)
    if #unhandled > 0 then
        redis.call('HDEL', notes, unpack(unhandled))
    end
end
for _, id in ipairs(ids) do
    if not mine[id] then
        taken[#taken + 1] = id
    elseif not kept[id] then
        gone[#gone + 1] = id
        redis.call('HDEL', notes, 'b' .. id, 'u' .. id)
    end
end
return { taken, gone }
