-- Whether no other client start has taken a consumer's name.
local function is_mine(consumers, consumer, instance)
    local other = holder(redis.call('HGET', consumers, consumer))
    return not other or other == instance
end

-- The ids among `ids`, which ascend, that `consumer` owns, as a set; none when its name is another's.
local function owned(stream, consumers, group, consumer, instance, ids)
    local set = {}
    local most = 2 * #ids
    local range = redis.call('XPENDING', stream, group, ids[1], ids[#ids], most, consumer)
    if not is_mine(consumers, consumer, instance) then
        return set
    end
    for _, row in ipairs(range) do
        set[row[1]] = true
    end
    if #range == most then
        -- The consumer owns many others between them.
        for _, id in ipairs(ids) do
            if not set[id] and redis.call('XPENDING', stream, group, id, id, 1, consumer)[1] then
                set[id] = true
            end
        end
    end
    return set
end
