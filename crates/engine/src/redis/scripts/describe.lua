-- What there is to know of a stream.
-- KEYS: stream.
-- ARGV: what the key of the facts of each group begins with; the name of the group completes it.
-- Returns: nil where there is none; else its length, first and last entry ids or nil, last generated id, how many
--          entries were ever added or nil, and for each group its name, pending entries, last delivered id, lag
--          or nil, oldest pending id or nil, for each consumer its name, pending entries and idle time, and the
--          lease or nil.
local stream = KEYS[1]
if redis.call('EXISTS', stream) == 0 then
    return false
end
local info = named(redis.call('XINFO', 'STREAM', stream))
local groups = {}
for _, group in ipairs(groups_of(stream)) do
    local consumers = {}
    for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group.name)) do
        local consumer = named(row)
        consumers[#consumers + 1] = { consumer.name, consumer.pending, consumer.idle }
    end
    -- A server that has loaded its files may count a lag where there is none.
    local behind = below(group['last-delivered-id'], info['last-generated-id'])
    -- Not every user may look at what is kept beside the stream.
    local lease = redis.pcall('HGET', ARGV[1] .. group.name, 'lease')
    groups[#groups + 1] = {
        group.name, group.pending, group['last-delivered-id'], behind and (group.lag or false) or 0,
        redis.call('XPENDING', stream, group.name)[2], consumers,
        type(lease) == 'string' and lease,
    }
end
local first, last = info['first-entry'], info['last-entry']
return {
    info.length, first and first[1], last and last[1], info['last-generated-id'], info['entries-added'] or false, groups,
}
