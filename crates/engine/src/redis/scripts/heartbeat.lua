-- Says that a consumer lives, and keeps the facts of its group.
-- KEYS: stream, facts, patterns, consumers, skipped, tasks.
-- ARGV: group, consumer, instance, milliseconds it counts as alive, lease, low-water mark or '', the version of the facts
--       that it knows, how many types it takes up, the key by which its client start lives, the format of the facts that it
--       writes, those types, each with the first entry of it that is taken up ('0': all, '$': none), then patterns.
-- Returns: the time and the instance that lives under this consumer's name, if another does; else the time, nil,
--          the lease, the patterns, the last delivered id, the oldest pending id or nil, the version of the facts, 1 where the
--          patterns were not taken as they are outdated, the types that the group has read past, the tasks: number, text in
--          turn; and the highest format in which a client of the group has written facts.
local stream, facts, patterns, consumers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local skipped, tasks = KEYS[5], KEYS[6]
local consumer, instance = ARGV[2], ARGV[3]
local group, failure = group_of(stream, ARGV[1])
if not group then
    return failure
end
local now = time()
local other, other_key, until_then = holder(redis.call('HGET', consumers, consumer))
if other and other ~= instance and lives(other_key, until_then, now) then
    return { now, other }
end

-- Whether another consumer of the group lives, or did so until now.
local function is_lived_in()
    for _, entry in ipairs(redis.call('HVALS', consumers)) do
        local known, key, expiry = holder(entry)
        if known and lives(key, expiry, now) then
            return true
        end
    end
    return false
end

local before = named(redis.call('HGETALL', facts))
local version, known = tonumber(before.version or 0), tonumber(ARGV[7])
local first_pattern = 11 + 2 * tonumber(ARGV[8])
local minute = string.format('%.0f', math.floor(now / 60000))

-- Forgets what may not be taken up any more, and notes the oldest entry that may.
local function prune()
    local oldest
    local function note(id)
        if id and (not oldest or below(id, oldest)) then
            oldest = id
        end
    end
    local all = redis.call('HGETALL', skipped)
    for i = 1, #all, 2 do
        local text, first = kept(slices_of(all[i + 1]), now)
        if text ~= all[i + 1] then
            redis.call('HDEL', skipped, all[i])
            if text then
                redis.call('HSET', skipped, all[i], text)
            end
        end
        note(first)
    end
    for _, task in ipairs(redis.call('HVALS', tasks)) do
        note(string.match(task, '^%S+'))
    end
    redis.call('HDEL', facts, 'unread')
    redis.call('HSET', facts, 'pruned', minute)
    if oldest then
        redis.call('HSET', facts, 'unread', oldest)
    end
end

-- Makes a task of a type that the group has read past, of what was read past from an entry on. From now on a pattern takes it.
local function take_up(type, from)
    local slices = behind_position(slices_of(redis.call('HGET', skipped, type)), from)
    local _, first, last, count = kept(slices, now)
    redis.call('HDEL', skipped, type)
    if not first then
        return
    end
    local left_out = {}
    for _, row in ipairs(redis.call('XPENDING', stream, ARGV[1], first, last, 1000)) do
        left_out[#left_out + 1] = row[1]
    end
    local number = redis.call('HINCRBY', facts, 'task', 1)
    local ids = #left_out > 0 and table.concat(left_out, ',') or '-'
    redis.call('HSET', tasks, number, string.format('%s %s %s %.0f %s ', first, last, ids, count, first) .. type)
end

-- A server that is out of memory lets a script go on that has written before, and this frees some.
local slept = now - tonumber(before.seen or now) > 600000
local forgotten = redis.call('ZREMRANGEBYSCORE', patterns, '-inf', string.format('(%.0f', slept and 0 or now - 3600000))
if slept then
    -- Its patterns are those of clients that may come back.
    for _, pattern in ipairs(redis.call('ZRANGE', patterns, 0, -1)) do
        redis.call('ZADD', patterns, now, pattern)
    end
end
if before.pruned ~= minute then
    prune()
end
local added = false
for i = first_pattern, #ARGV do
    added = added or not redis.call('ZSCORE', patterns, ARGV[i])
end
if forgotten > 0 then
    version = version + 1
end
local outdated = added and known ~= version and redis.call('HLEN', skipped) > 0
if not outdated then
    if added then
        for i = 11, first_pattern - 1, 2 do
            take_up(ARGV[i], ARGV[i + 1])
        end
        version = version + 1
    end
    for i = first_pattern, #ARGV do
        redis.call('ZADD', patterns, now, ARGV[i])
    end
end
if forgotten > 0 or (added and not outdated) then
    redis.call('HSET', facts, 'version', version)
end
if not is_lived_in() then
    redis.call('HSET', facts, 'backlog', named(redis.call('XINFO', 'STREAM', stream))['last-generated-id'])
end
redis.call('HSET', consumers, consumer, string.format('%s\n%s %.0f', instance, ARGV[9], now + tonumber(ARGV[4])))
redis.call('HSETNX', facts, 'lease', ARGV[5])
local format = math.max(tonumber(before.format or 0), tonumber(ARGV[10]))
if before.format ~= string.format('%.0f', format) then
    redis.call('HSET', facts, 'format', format)
end
if ARGV[6] ~= '' then
    redis.call('HSET', facts, 'mark', ARGV[6])
end

redis.call('HSET', facts, 'seen', now)

return {
    now, false, redis.call('HGET', facts, 'lease'), redis.call('ZRANGE', patterns, 0, -1), group['last-delivered-id'],
    redis.call('XPENDING', stream, ARGV[1])[2],
    version, outdated and 1 or 0, redis.call('HKEYS', skipped), redis.call('HGETALL', tasks),
    format,
}
