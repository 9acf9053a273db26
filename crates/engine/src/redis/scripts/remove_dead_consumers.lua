-- Removes consumers that are not alive and own nothing, and notes on entries that are not pending any more. Their names are
-- known as ours for an hour more: a process that stood still may find the answer to a read that it had begun.
-- KEYS: stream, consumers, notes, facts.
-- ARGV: group, the milliseconds for which a removal by any client is enough.
-- Returns: how many consumers were removed.
local stream, consumers, notes, group = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
-- How many are removed at once. All are looked at: dead ones behind many that live would never go.
local most = 1000
local now = time()
local swept = tonumber(redis.call('HGET', KEYS[4], 'swept') or 0)
-- A time in the future is of before the clock went back.
if swept <= now and now < swept + tonumber(ARGV[2]) then
    -- Says so when there is no group.
    redis.call('XPENDING', stream, group)
    return 0
end
local beats = named(redis.call('HGETALL', consumers))
local removed, present = 0, {}
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local consumer = named(row)
    present[consumer.name] = true
    if consumer.pending == 0 and removed < most then
        local instance, key, expiry = holder(beats[consumer.name])
        -- One that was never heard of may be of another program, or about to be heard of.
        local dead = consumer.idle > 60000
        if instance then
            dead = not lives(key, expiry, now)
        end
        if dead then
            redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer.name)
            if instance then
                redis.call('HSET', consumers, consumer.name, string.format('%s %.0f', instance, now))
            end
            removed = removed + 1
        end
    end
end

local forgotten = 0
for name, beat in pairs(beats) do
    local instance, key, expiry = holder(beat)
    local known = instance and (lives(key, expiry, now) or (expiry <= now and now < expiry + 3600000))
    if not present[name] and forgotten < most and not known then
        redis.call('HDEL', consumers, name)
        forgotten = forgotten + 1
    end
end
local next = tidy(stream, group, notes, redis.call('HGET', KEYS[4], 'tidied') or '0')
redis.call('HSET', KEYS[4], 'swept', now, 'tidied', next)
return removed
