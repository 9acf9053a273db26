-- Renews claims, fenced. One whose delivery count is set has ended a call: that it began is forgotten.
-- KEYS: stream, notes.
-- ARGV: group, consumer; then id, delivery count ('' keeps it) for each, ids ascending.
-- Returns: the ids that the consumer does not own; from 7 on also those whose entry is gone.
local stream, notes, group, consumer = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local ids, lost, renewed, kept = {}, {}, {}, {}
for i = 3, #ARGV, 2 do
    ids[#ids + 1] = ARGV[i]
end
local mine = owned(stream, group, consumer, ids)

local function claim(arguments)
    arguments[#arguments + 1] = 'JUSTID'
    for _, id in ipairs(redis.call('XCLAIM', stream, group, consumer, 0, unpack(arguments))) do
        kept[id] = true
    end
end

for i = 3, #ARGV, 2 do
    local id, count = ARGV[i], ARGV[i + 1]
    if mine[id] and count == '' then
        renewed[#renewed + 1] = id
    elseif mine[id] then
        claim({ id, 'RETRYCOUNT', count })
        redis.call('HDEL', notes, 'b' .. id)
    end
end
if #renewed > 0 then
    claim(renewed)
end
for _, id in ipairs(ids) do
    if not kept[id] then
        lost[#lost + 1] = id
    end
end
return lost
