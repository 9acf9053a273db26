-- Removes consumers that are not alive and own nothing, and notes on entries that are not pending any more.
-- KEYS: stream, consumers, notes.
-- ARGV: group.
-- Returns: how many consumers were removed.
local stream, consumers, notes, group = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local most = 1000
local now = time()
local removed, present = 0, {}
for i, row in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local consumer = named(row)
    present[consumer.name] = consumer.pending
    if i <= most and consumer.pending == 0 then
        local expiry = string.match(redis.call('HGET', consumers, consumer.name) or '', ' (%d+)$')
        -- One that was never heard of may be of another program, or about to be heard of.
        local dead = consumer.idle > 60000
        if expiry then
            dead = tonumber(expiry) <= now
        end
        if dead then
            redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer.name)
            redis.call('HDEL', consumers, consumer.name)
            removed = removed + 1
        end
    end
end

local beats = redis.call('HSCAN', consumers, 0, 'COUNT', most)[2]
for i = 1, #beats, 2 do
    local expiry = tonumber(string.match(beats[i + 1], ' (%d+)$') or 0)
    if not present[beats[i]] and expiry <= now then
        redis.call('HDEL', consumers, beats[i])
    end
end
tidy(stream, group, notes)
return removed
