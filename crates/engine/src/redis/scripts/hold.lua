-- Renews claims, fenced. One whose delivery count is set has ended a call: that it began is forgotten.
-- KEYS: stream, notes.
-- ARGV: group, consumer; then id, delivery count ('' keeps it) for each, ids ascending.
-- Returns: the ids that the consumer does not own.
local stream, notes, group, consumer = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local ids, lost, renewed = {}, {}, {}
for i = 3, #ARGV, 2 do
    ids[#ids + 1] = ARGV[i]
end
local mine = owned(stream, group, consumer, ids)
for i = 3, #ARGV, 2 do
    local id, count = ARGV[i], ARGV[i + 1]
    if not mine[id] then
        lost[#lost + 1] = id
    elseif count == '' then
        renewed[#renewed + 1] = id
    else
        redis.call('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', count, 'JUSTID')
        redis.call('HDEL', notes, 'b' .. id)
    end
end
if #renewed > 0 then
    renewed[#renewed + 1] = 'JUSTID'
    redis.call('XCLAIM', stream, group, consumer, 0, unpack(renewed))
end
return lost
