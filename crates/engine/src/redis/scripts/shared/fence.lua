-- The ids among `ids`, which ascend, that `consumer` owns, as a set.
local function owned(stream, group, consumer, ids)
    local set = {}
    local most = 2 * #ids
    local range = redis.call('XPENDING', stream, group, ids[1], ids[#ids], most, consumer)
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
