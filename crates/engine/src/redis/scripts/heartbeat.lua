-- Says that a consumer lives, and keeps the facts of its group.
-- KEYS: stream, facts, patterns, consumers, skipped, tasks.
-- ARGV: group, consumer, instance, milliseconds it counts as alive, lease, low-water mark or '', the version of the facts
--       that it knows, how many types it takes up, the key by which its client start lives, the format of the facts that it
--       writes, the lease of entries of other programs' consumers; those types, and for each the position behind which it is
--       taken up ('$', '0' or an id) in turn; then patterns.
-- Returns: the time and the instance that lives under this consumer's name, if another does; else the time, nil,
--          the lease, the patterns, the last delivered id, the oldest pending id or nil, the version of the facts, 1 where the
--          patterns were not taken as they are outdated, the types that the group has read past, the tasks: number, text in
--          turn, the patterns that were new, the last id of the stream where one was; the highest format in which a client
--          of the group has written facts; and the lease of entries of other programs' consumers.
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
local first_pattern = 12 + 2 * tonumber(ARGV[8])
local minute = string.format('%.0f', math.floor(now / 60000))
local given_up = before.givenUp or '0-0'

-- Forgets what may not be taken up any more, and notes the oldest entry that may.
local function prune()
    local oldest
    local function keep(id)
        if id and (not oldest or below(id, oldest)) then
            oldest = id
        end
    end
    local all = redis.call('HGETALL', skipped)
    for i = 1, #all, 2 do
        local slices
        slices, given_up = kept(slices_of(all[i + 1]), now, given_up)
        local text = text_of(slices)
        if text ~= all[i + 1] then
            redis.call('HDEL', skipped, all[i])
            if text then
                redis.call('HSET', skipped, all[i], text)
            end
        end
        keep(slices[1] and slices[1].first)
    end
    for _, task in ipairs(redis.call('HVALS', tasks)) do
        -- One that has only to be told keeps no entry.
        if not string.find(task, '^%S+ %S+ !') then
            keep(string.match(task, '^%S+'))
        end
    end
    redis.call('HDEL', facts, 'unread')
    redis.call('HSET', facts, 'pruned', minute)
    if given_up ~= (before.givenUp or '0-0') then
        redis.call('HSET', facts, 'givenUp', given_up)
    end
    if oldest then
        redis.call('HSET', facts, 'unread', oldest)
    end
end

-- Makes a task of a stretch of a type that the group has read past. So many of its entries as are unsure may be before `from`.
local function make_task(type, stretch, from)
    local first, last, left_out = stretch.first, stretch.last, {}
    if stretch.unsure > 0 then
        first = behind(from)
        -- To builds that know no position this is an id that is left out.
        left_out[1] = string.format('>%s:%.0f', from, stretch.unsure)
    end
    for _, row in ipairs(redis.call('XPENDING', stream, ARGV[1], first, last, 1000)) do
        left_out[#left_out + 1] = row[1]
    end
    local number = redis.call('HINCRBY', facts, 'task', 1)
    local ids = #left_out > 0 and table.concat(left_out, ',') or '-'
    redis.call('HSET', tasks, number, string.format('%s %s %s %.0f %s ', first, last, ids, stretch.count, first) .. type)
end

-- Makes tasks of what the group has read past of a type. From now on a pattern takes it.
local function take_up(type, from)
    local slices = kept(slices_of(redis.call('HGET', skipped, type)), now, given_up)
    redis.call('HDEL', skipped, type)
    if from == '$' then
        return
    elseif from == '0' then
        from = '0-0'
    end
    local stretches = {}
    for _, slice in ipairs(slices) do
        local last = stretches[#stretches]
        if not below(from, slice.last) then
            -- It is before the position.
        elseif last and below(given_up, last.first) then
            last.last, last.count = slice.last, last.count + slice.count
        else
            stretches[#stretches + 1] = {
                first = slice.first, last = slice.last, count = slice.count,
                unsure = below(from, slice.first) and 0 or slice.count,
            }
        end
    end
    for _, stretch in ipairs(stretches) do
        make_task(type, stretch, from)
    end
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
local new = {}
for i = first_pattern, #ARGV do
    if not redis.call('ZSCORE', patterns, ARGV[i]) then
        new[#new + 1] = ARGV[i]
    end
end
local added = #new > 0
if forgotten > 0 then
    version = version + 1
end
local outdated = added and known ~= version and redis.call('HLEN', skipped) > 0
if not outdated then
    if added then
        for i = 12, first_pattern - 1, 2 do
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
if outdated then
    new = {}
end
local was_lived_in = is_lived_in()
local top = (#new > 0 or not was_lived_in) and named(redis.call('XINFO', 'STREAM', stream))['last-generated-id']
if not was_lived_in then
    redis.call('HSET', facts, 'backlog', top)
end
redis.call('HSET', consumers, consumer, string.format('%s\n%s %.0f', instance, ARGV[9], now + tonumber(ARGV[4])))
redis.call('HSETNX', facts, 'lease', ARGV[5])
redis.call('HSETNX', facts, 'foreignLease', ARGV[11])
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
    version, outdated and 1 or 0, redis.call('HKEYS', skipped), redis.call('HGETALL', tasks), new, #new > 0 and top,
    format, redis.call('HGET', facts, 'foreignLease'),
}
