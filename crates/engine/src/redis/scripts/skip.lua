-- Acknowledges entries that no pattern of the group takes, fenced, and records them by type; nothing when the facts have changed.
-- KEYS: stream, facts, consumers, skipped.
-- ARGV: group, consumer, instance, the version by which they were judged, how many types are recorded at the most; then
--       id, type for each, ids ascending.
-- Returns: whether that was done, the version, the types recorded for the first time, the ids that the consumer does not own.
local stream, facts, consumers, skipped = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, consumer, most_types = ARGV[1], ARGV[2], tonumber(ARGV[5])
local known = redis.call('HMGET', facts, 'version', 'backlog', 'unread', 'givenUp')
local version, backlog, unread = tonumber(known[1] or 0), known[2] or '0-0', known[3]
local given_up = known[4] or '0-0'
if tonumber(ARGV[4]) ~= version then
    -- Says so when there is no group.
    redis.call('XPENDING', stream, group)
    return { 0, version, {}, {} }
end
local ids = {}
for i = 6, #ARGV, 2 do
    ids[#ids + 1] = ARGV[i]
end
local mine = owned(stream, consumers, group, consumer, ARGV[3], ids)
local now, taken, types, order = time(), {}, {}, {}
local minute = math.floor(now / 60000)
for i = 6, #ARGV, 2 do
    local id, type = ARGV[i], ARGV[i + 1]
    if not mine[id] then
        taken[#taken + 1] = id
    else
        -- This frees memory: a server that is out of it lets a script go on that has written before.
        redis.call('XACK', stream, group, id)
        if not types[type] then
            types[type] = {}
            order[#order + 1] = type
        end
        local of = types[type]
        of[#of + 1] = id
    end
end

local new = {}
for _, type in ipairs(order) do
    local text, of = redis.call('HGET', skipped, type), types[type]
    if text or redis.call('HLEN', skipped) < most_types then
        if not text then
            new[#new + 1] = type
        end
        local slices
        slices, given_up = kept(slices_of(text), now, given_up)
        for _, id in ipairs(of) do
            note(slices, id, below(backlog, id) and 'n' or 'b', given_up, minute)
        end
        redis.call('HSET', skipped, type, text_of(slices))
        local first = slices[1].first
        if not unread or below(first, unread) then
            unread = first
            redis.call('HSET', facts, 'unread', first)
        end
    elseif below(given_up, of[#of]) then
        given_up = of[#of]
    end
end
if given_up ~= (known[4] or '0-0') then
    redis.call('HSET', facts, 'givenUp', given_up)
end
if #new > 0 then
    version = redis.call('HINCRBY', facts, 'version', #new)
end
return { 1, version, new, taken }
