-- Says that a consumer lives, and keeps the facts of its group.
-- KEYS: stream, facts, patterns, consumers.
-- ARGV: group, consumer, instance, milliseconds it counts as alive, lease, low-water mark or '', then patterns.
-- Returns: the time and the instance that lives under this consumer's name, if another does; else the time, nil,
--          the lease, the patterns, the last delivered id, the oldest pending id or nil, and nil or what the
--          group missed: how many, behind which id, before which id.
local stream, facts, patterns, consumers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local consumer, instance = ARGV[2], ARGV[3]
local group, failure = group_of(stream, ARGV[1])
if not group then
    return failure
end
local now = time()
local held = redis.call('HGET', consumers, consumer)
if held then
    local other, expiry = string.match(held, '^(.*) (%d+)$')
    if other and other ~= instance and tonumber(expiry) > now then
        return { now, other }
    end
end

-- A server that is out of memory lets a script go on that has written before, and this frees some.
redis.call('ZREMRANGEBYSCORE', patterns, '-inf', string.format('(%.0f', now - 3600000))
for i = 7, #ARGV do
    redis.call('ZADD', patterns, now, ARGV[i])
end
redis.call('HSET', consumers, consumer, string.format('%s %.0f', instance, now + tonumber(ARGV[4])))
redis.call('HSETNX', facts, 'lease', ARGV[5])
if ARGV[6] ~= '' then
    redis.call('HSET', facts, 'mark', ARGV[6])
end

local position = group['last-delivered-id']
local before = named(redis.call('HGETALL', facts))
local missed = false

-- Tells of entries that were trimmed unread: `total` in all, or one that was there at the last beat.
local function look(info)
    local last, length = info['last-generated-id'], info.length
    local first = info['first-entry'] and info['first-entry'][1]
    local is_behind = below(position, last)
    local unread
    if not is_behind or length == 0 then
        unread = 0
    elseif below(position, first) then
        unread = length
    else
        return
    end
    local from, to = position, first or last
    if not is_behind then
        from, to = before.position or '0-0', position
    end
    if info['entries-added'] then
        if not group['entries-read'] then
            return
        end
        local total = math.max(info['entries-added'] - group['entries-read'] - unread, 0)
        local told = tonumber(before.missed or 0)
        -- A server that has loaded its files, or has been a replica, does not know how many a group has read
        -- and may say too few: no more were missed than were removed, behind where the group stood.
        local removed = info['entries-added'] - length
        local gone = removed - tonumber(before.removed or 0)
        local stood = before.position or '0-0'
        local beyond = not first or below(stood, first) or below(stood, info['max-deleted-entry-id'])
        if total > told and gone > 0 and beyond then
            missed = { math.min(total - told, gone), from, to }
        end
        redis.call('HSET', facts, 'missed', total, 'removed', removed)
    else
        -- Before 7: the last entry of then was not delivered, and is gone.
        if is_behind and before.last and below(position, before.last) and (not first or below(before.last, first)) then
            missed = { 0, from, to }
        end
        redis.call('HSET', facts, 'last', last)
    end
end

-- Without lag there is nothing to count, and the first and last entries need not be read.
if group.lag ~= 0 or tonumber(before.missed or 0) > 0 then
    look(named(redis.call('XINFO', 'STREAM', stream)))
end
redis.call('HSET', facts, 'seen', now, 'position', position)

return {
    now, false, before.lease, redis.call('ZRANGE', patterns, 0, -1), position,
    redis.call('XPENDING', stream, ARGV[1])[2], missed,
}
