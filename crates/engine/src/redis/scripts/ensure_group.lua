-- Creates a stream and a group of it where they are missing. A group that has facts was there before and is lost:
-- it goes on at its low-water mark, or where an earlier one is given there; without a mark at the beginning.
-- KEYS: stream, notes and due: those of a group of that name that was lost go; facts; skipped, tasks.
-- ARGV: group; where it starts if it is new: '$', '0' or an id; '1' if an id beyond the stream's last becomes '0'.
-- Returns: whether the group was created; its last delivered id; whether it had facts of before; then, with that '1', the id of
--          the stream's first entry, nil where it has none, and that of the last one that was ever added.
local stream, name, from, facts = KEYS[1], ARGV[1], ARGV[2], KEYS[4]
local group, failure = group_of(stream, name)
if not group and string.sub(failure.err, 1, 7) ~= 'NOGROUP' then
    return failure
end
local info = { ['entries-added'] = 0, length = 0, ['last-generated-id'] = '0-0' }
local restarted = ARGV[3] == '1'

local function answer(created, position, had_facts)
    local first = info['first-entry'] and info['first-entry'][1]
    return { created, position, had_facts, restarted and first or false, restarted and info['last-generated-id'] }
end

if (not group or restarted) and redis.call('EXISTS', stream) == 1 then
    info = named(redis.call('XINFO', 'STREAM', stream))
end
if group then
    return answer(0, group['last-delivered-id'], 0)
end
local recreated = redis.call('EXISTS', facts) == 1
if recreated then
    local mark = redis.call('HGET', facts, 'mark') or '0'
    local is_known = restarted and from ~= '$' and from ~= '0'
    if mark == '0' or not is_known or below(mark, from) then
        from = mark
    end
end
if (restarted or recreated) and from ~= '$' and from ~= '0' and below(info['last-generated-id'], from) then
    from = '0'
end
local create = { 'XGROUP', 'CREATE', stream, name, from, 'MKSTREAM' }
-- From Redis 7 on, by what a group has read it is told what it missed; at its start it has missed nothing.
if (redis.REDIS_VERSION_NUM or 0) >= 0x00070000 and (from == '$' or from == '0') then
    local behind_it = from == '$' and 0 or info.length
    create[#create + 1] = 'ENTRIESREAD'
    create[#create + 1] = string.format('%.0f', math.max(info['entries-added'] - behind_it, 0))
end
redis.call(unpack(create))
redis.call('DEL', KEYS[2], KEYS[3], KEYS[5], KEYS[6])
-- What was told of the stream as it was is not true of this one.
redis.call('HDEL', facts, 'unread', 'givenUp', 'at', 'read', 'top')
return answer(1, group_of(stream, name)['last-delivered-id'], recreated and 1 or 0)
