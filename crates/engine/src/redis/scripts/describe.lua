-- What there is to know of a stream.
-- KEYS: stream.
-- ARGV: what the key of the facts of each group begins with; the name of the group completes it; what completes that
--       for the key of what the group has read past, and for that of its consumers.
-- Returns: nil where there is none; else its length, first and last entry ids or nil, last generated id, how many
--          entries were ever added or nil, and for each group its name, pending entries, last delivered id, lag
--          or nil, oldest pending id or nil, for each consumer its name, pending entries, idle time and
--          whether it lives (1, 0, nil of one of another program), and the lease or nil, the types that it has read past, with the number of entries of each, and the lease of entries
--          of other programs' consumers or nil.
local stream = KEYS[1]
-- Entries that are counted where the server does not know how many are unread.
local few = 100

-- How many entries a group has not read; nil where nobody knows.
local function lag_of(group, info, kept)
    local position, first = group['last-delivered-id'], info['first-entry'] and info['first-entry'][1]
    if not first or not below(position, info['last-generated-id']) then
        return 0
    elseif below(position, first) then
        -- Some servers count what was trimmed as well.
        return info.length
    end
    local lag = group.lag or nil
    if lag and not forgets then
        return math.min(lag, info.length)
    end
    local unread = #redis.call('XRANGE', stream, '(' .. position, '+', 'COUNT', few)
    if unread < few then
        return unread
    end
    local read = group['entries-read']
    if lag and (not read or is_believed(read, position, kept, run_id())) then
        return math.min(lag, info.length)
    end
end

if redis.call('EXISTS', stream) == 0 then
    return false
end
-- The types that a group has read past, and how many entries of each may be taken up, in turn.
local function skipped_by(name)
    local now, counts = time(), {}
    local all = redis.pcall('HGETALL', ARGV[1] .. name .. ARGV[2])
    for i = 1, #all, 2 do
        local slices, count = kept(slices_of(all[i + 1]), now, '0-0'), 0
        for _, slice in ipairs(slices) do
            count = count + slice.count
        end
        if count > 0 then
            counts[#counts + 1] = all[i]
            counts[#counts + 1] = count
        end
    end
    return counts
end

-- How long ago, in milliseconds, a client start that lives has shown it, as far as this is known.
local function shown_ago(key, expiry, now)
    local left = key and redis.pcall('PTTL', key)
    if type(left) ~= 'number' or left < 0 then
        left = expiry - now
    end
    return math.max(life - math.max(left, 0), 0)
end

-- The consumers of a group, with those that live and that the server does not know yet, as they have read nothing.
local function consumers_of(name)
    local consumers, alive, now = {}, {}, time()
    -- Not every user may look at what is kept beside the stream.
    local all = redis.pcall('HGETALL', ARGV[1] .. name .. ARGV[3])
    local shown = {}
    for i = 1, #all, 2 do
        local _, key, expiry = holder(all[i + 1])
        if expiry then
            alive[all[i]] = lives(key, expiry, now)
            shown[all[i]] = shown_ago(key, expiry, now)
        end
    end
    for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', stream, name)) do
        local consumer = named(row)
        local lives = alive[consumer.name]
        alive[consumer.name] = nil
        consumers[#consumers + 1] = {
            consumer.name, consumer.pending, consumer.idle, lives ~= nil and (lives and 1 or 0),
        }
    end
    for consumer, lives in pairs(alive) do
        if lives then
            consumers[#consumers + 1] = { consumer, 0, shown[consumer], 1 }
        end
    end
    return consumers
end

local info = named(redis.call('XINFO', 'STREAM', stream))
local groups = {}
for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = named(row)
    local consumers = consumers_of(group.name)
    -- Not every user may look at what is kept beside the stream.
    local values = redis.pcall('HMGET', ARGV[1] .. group.name, 'lease', 'read', 'run', 'foreignLease')
    local kept = values.err and {} or {
        lease = values[1], read = values[2], run = values[3], foreign = values[4],
    }
    groups[#groups + 1] = {
        group.name, group.pending, group['last-delivered-id'], lag_of(group, info, kept) or false,
        redis.call('XPENDING', stream, group.name)[2], consumers, kept.lease or false, skipped_by(group.name),
        kept.foreign or false,
    }
end
local first, last = info['first-entry'], info['last-entry']
return {
    info.length, first and first[1], last and last[1], info['last-generated-id'], info['entries-added'] or false, groups,
}
