-- Claims pending entries for `consumer` and collects them with what is noted of them.
local entries, deleted, bytes = {}, {}, 0

-- Claims an entry and sets its delivery count. One that is not in the stream any more is acknowledged. `wait`: in how
-- many milliseconds it is due, if that is kept; `told`: the same, as the consumer is to know it.
local function collect(stream, notes, dues, group, consumer, id, count, wait, told)
    -- Of a missing entry servers before 7 say nil, later ones nothing.
    local entry = redis.call('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', count)[1]
    if not entry then
        redis.call('XACK', stream, group, id)
        redis.call('HDEL', notes, 'b' .. id, 'u' .. id)
        if wait then
            redis.call('ZREM', dues, id)
        end
        deleted[#deleted + 1] = id
        return
    end
    if wait == 0 then
        redis.call('ZREM', dues, id)
    end
    local noted = redis.call('HMGET', notes, 'b' .. id, 'u' .. id)
    entries[#entries + 1] = { id, count, noted[1] and 1 or 0, noted[2], told or false, entry[2] }
    for _, field in ipairs(entry[2]) do
        bytes = bytes + #field
    end
end

-- Whether an answer is large enough.
local function is_full()
    return bytes >= 1048576
end
