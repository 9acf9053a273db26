-- Finds what a group has missed: entries that were trimmed before the group had read them. It is called right before a
-- read, because the read itself passes them over, and a server from 7.2 on counts them as read from then on.
-- KEYS: streams, then the facts of the group of each.
-- ARGV: group, instance, '1' for the first look on a connection, '2' for one that writes down what was read, else '';
--       then for each stream how many missed entries this instance has been told of.
-- Returns: how many entries that the group has read are at least left in front of what it has not read, 1 if a trim has
--          come close to it, 1 if the server may forget how many entries a group has read, and the server's time;
--          then for each stream nil or what the group missed: how many this instance has found in all, behind which id,
--          before which id.
local name, instance, is_first = ARGV[1], ARGV[2], ARGV[3] == '1'
local now = time()
local run = forgets and is_first and run_id()

-- How many entries there were up to the position of the group; nil where nobody knows.
local function read_of(stream, group, info, kept)
    local position, read = group['last-delivered-id'], group['entries-read']
    if kept.at and kept.at == position then
        return tonumber(kept.read)
    elseif read and is_believed(read, position, kept, run) then
        return read
    end
    -- Few unread entries can be counted.
    local unread = redis.call('XRANGE', stream, '(' .. position, '+', 'COUNT', 500)
    return #unread < 500 and info['entries-added'] - #unread or nil
end

-- What is missed before Redis 7, which does not count: something is where an entry was there at the last look, was not
-- delivered, and is gone. It is not known how many there were: one at least.
local function one_missed(info, position, first, kept)
    local top = kept.top
    if top and below(position, top) and below(position, info['last-generated-id'])
        and (not first or below(top, first)) then
        return { 1, position, first or info['last-generated-id'] }
    end
end

local least, close, reports = nil, 0, {}

local function look(stream, facts, told)
    local group = group_of(stream, name)
    if not group then
        least = 0
        return false
    end
    if ARGV[3] == '' and group.lag == 0 and group['entries-read'] then
        -- Everything is read; but servers from 8 on count no lag either where everything was trimmed.
        local length = redis.call('XLEN', stream)
        if length > 0 then
            if group['entries-read'] > length and length < 1000 then
                close = 1
            end
            least = math.min(least or length, length)
            return false
        end
    end
    local info = named(redis.call('XINFO', 'STREAM', stream))
    local values = redis.call('HMGET', facts, 'at', 'read', 'run', 'top', 'found')
    local kept = { at = values[1], read = values[2], run = values[3], top = values[4], found = values[5] }
    if forgets and not run then
        -- On one connection the server stays the same.
        run = kept.run or run_id()
    end
    local position, last, length = group['last-delivered-id'], info['last-generated-id'], info.length
    local first = info['first-entry'] and info['first-entry'][1]
    local is_done, is_before = not below(position, last), length == 0 or below(position, first)
    local margin, missed = 0, nil
    if not counts then
        missed = one_missed(info, position, first, kept)
        -- What there is has to be seen before it is gone.
        close = 1
        margin = is_done and length or 0
        if length > 0 then
            redis.call('HSET', facts, 'top', last)
        else
            redis.call('HDEL', facts, 'top')
        end
    else
        local added = info['entries-added']
        local removed = added - length
        local read
        if is_done then
            read, margin = added, length
        elseif is_before then
            read = read_of(stream, group, info, kept)
            if read and removed > read then
                missed = { removed - read, position, first or last }
            end
            -- What was missed is told, and from now on it counts as read.
            read = removed
        else
            read = read_of(stream, group, info, kept)
            margin = math.max(length - math.max(added - (read or 0), 0), 0)
        end
        local number = read and string.format('%.0f', read)
        if read ~= (group['entries-read'] or nil) then
            local set = { 'XGROUP', 'SETID', stream, name, position }
            if number then
                set[#set + 1] = 'ENTRIESREAD'
                set[#set + 1] = number
            end
            redis.call(unpack(set))
        end
        if forgets and number and (kept.at ~= position or kept.read ~= number or kept.run ~= run) then
            redis.call('HSET', facts, 'at', position, 'read', number, 'run', run)
        end
        if removed > 0 and (is_before or length < 1000) then
            close = 1
        end
    end
    least = math.min(least or margin, margin)

    -- What an instance has found is kept, because the connection may break before the answer arrives.
    local by, total, from, to = string.match(kept.found or '', '^(%S+) (%d+) (%S+) (%S+)$')
    total = by == instance and tonumber(total) or told
    if total <= told then
        from, to = nil, nil
    end
    if missed then
        total, from, to = total + missed[1], from or missed[2], missed[3]
        redis.call('HSET', facts, 'found', string.format('%s %.0f %s %s', instance, total, from, to))
    end
    return total > told and { total, from, to }
end

for i = 1, #KEYS / 2 do
    reports[#reports + 1] = look(KEYS[i], KEYS[#KEYS / 2 + i], tonumber(ARGV[3 + i]))
end
return { least or 0, close, forgets and 1 or 0, now, unpack(reports) }
