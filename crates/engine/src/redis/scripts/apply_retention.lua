-- Trims a stream by its retention, if this instance is its janitor or nobody is.
-- KEYS: stream, janitor, then the facts of the groups.
-- ARGV: instance, longest length or '', longest age or '', '1' to keep what a live group has not settled, then the groups.
-- Returns: how many entries were removed.
local stream, janitor, instance = KEYS[1], KEYS[2], ARGV[1]
local max_len, max_age = tonumber(ARGV[2]), tonumber(ARGV[3])
local now = time()
local owner = redis.call('GET', janitor)
-- A key that lasts longer than it was made for is of before the clock went back, and its owner renews it if it lives.
if owner and owner ~= instance and redis.call('PTTL', janitor) <= 15000 then
    return 0
end
-- A server that is out of memory lets a script go on that has written before: it may free some.
redis.call('PEXPIRE', janitor, 15000)
redis.call('SET', janitor, instance, 'PX', 15000)
if redis.call('EXISTS', stream) == 0 then
    return 0
end

-- Whether a group may still need what it has not settled. Nothing is to be missed before the first subscription, and
-- groups of other programs, of which nothing is kept beside the stream, are known by their consumers.
local function is_live(group, seen)
    if seen then
        return tonumber(seen) > now - 3600000
    end
    for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group.name)) do
        if named(row).idle < 3600000 then
            return true
        end
    end
    return group.consumers == 0
end

-- The oldest entry that a live group has not settled; nil where there is none.
local function unsettled()
    local seen, taken_up_from = {}, {}
    for i = 5, #ARGV do
        local facts = redis.call('HMGET', KEYS[i - 2], 'seen', 'unread')
        seen[ARGV[i]], taken_up_from[ARGV[i]] = facts[1], facts[2]
    end
    local oldest
    for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
        local group = named(row)
        if is_live(group, seen[group.name]) then
            local id = redis.call('XPENDING', stream, group.name)[2]
            if not id then
                local unread = redis.call('XRANGE', stream, '(' .. group['last-delivered-id'], '+', 'COUNT', 1)[1]
                id = unread and unread[1]
            end
            for _, needed in pairs({ id or nil, taken_up_from[group.name] or nil }) do
                if not oldest or below(needed, oldest) then
                    oldest = needed
                end
            end
        end
    end
    return oldest
end

-- Removes entries below an id from the head, at most so many. Whole nodes of the stream go without being read. Of the
-- node behind them entries must be read to know their ids: a bounded part at a time.
local function trim_below(limit, most)
    if most <= 0 then
        return 0
    end
    local removed = redis.call('XTRIM', stream, 'MINID', '~', limit, 'LIMIT', most)
    local pages, bytes, size = 0, 0, 10
    while removed < most and pages < 10 and bytes < 4194304 do
        local page = redis.call('XRANGE', stream, '-', '+', 'COUNT', math.min(most - removed, size))
        local last, before = nil, bytes
        for _, entry in ipairs(page) do
            if not below(entry[1], limit) then
                break
            end
            last = entry[1]
            for _, field in ipairs(entry[2]) do
                bytes = bytes + #field
            end
        end
        local trimmed = last and redis.call('XTRIM', stream, 'MINID', '=', behind(last)) or 0
        if trimmed == 0 then
            break
        end
        size = math.max(1, math.min(100, math.floor(1048576 * #page / (bytes - before + 1))))
        removed, pages = removed + trimmed, pages + 1
    end
    return removed
end

local most = 10000
local safe = ARGV[4] == '1' and unsettled()
local removed = 0
if max_age then
    local from = string.format('%.0f-0', math.max(now - max_age, 0))
    if safe and below(safe, from) then
        from = safe
    end
    removed = trim_below(from, most)
end
if not max_len then
    return removed
end
local length = redis.call('XLEN', stream)
local excess = math.min(length - max_len, most)
if excess <= 0 then
    return removed
elseif safe then
    return removed + trim_below(safe, excess)
end
return removed + redis.call('XTRIM', stream, 'MAXLEN', '=', length - excess)
