-- Hands entries back, fenced: idle for an hour, they are overdue for everybody. One that is not due is the other
-- consumer's until then; by its idle time alone it is overdue then too, or after the lease if that is earlier.
-- KEYS: stream, notes, consumers, due.
-- ARGV: group, consumer, instance, '1' to note since when there is no handler ('' to forget it, as there was one here), the
--       channel on which others are told or '', the consumer for what is not due, the lease; then id, delivery count,
--       milliseconds until it is due ('' for none) for each, ids ascending.
-- Returns: the ids that the consumer does not own, and, from 7 on, those whose entry is gone.
local stream, notes, consumers, dues, group, consumer = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[2]
local delayed, lease = ARGV[6], tonumber(ARGV[7])
local ids, taken, gone = {}, {}, {}
for i = 8, #ARGV, 3 do
    ids[#ids + 1] = ARGV[i]
end
local mine = owned(stream, consumers, group, consumer, ARGV[3], ids)
local now = time()
local any_due = redis.call('EXISTS', dues) == 1
for i = 8, #ARGV, 3 do
    local id, count, wait = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
    if not wait and any_due then
        wait = wait_of(dues, id, now)
    end
    local owner, idle = consumer, 3600000
    if wait and wait > 0 then
        owner, idle = delayed, math.max(lease - wait, 0)
    end
    local kept = mine[id] and redis.call(
        'XCLAIM', stream, group, owner, 0, id, 'IDLE', idle, 'RETRYCOUNT', count, 'JUSTID')[1]
    if not mine[id] then
        taken[#taken + 1] = id
    elseif not kept then
        gone[#gone + 1] = id
        redis.call('HDEL', notes, 'b' .. id, 'u' .. id)
    else
        redis.call('HDEL', notes, 'b' .. id)
        if ARGV[4] == '1' then
            redis.call('HSETNX', notes, 'u' .. id, now)
        else
            redis.call('HDEL', notes, 'u' .. id)
        end
        if wait and wait > 0 then
            redis.call('ZADD', dues, string.format('%.0f', now + wait), id)
        end
    end
end
if ARGV[5] ~= '' and #taken + #gone < #ids then
    -- Whoever may not do that has peers that look by themselves.
    redis.pcall('PUBLISH', ARGV[5], stream .. '\n' .. group)
end
return { taken, gone }
