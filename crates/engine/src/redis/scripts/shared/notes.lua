-- Removes notes on entries that are not pending any more; of very many notes some at a time. Returns from where on others are
-- looked at the next time: '0' once all were.
local function tidy(stream, group, notes, from)
    local page = redis.call('HSCAN', notes, from, 'COUNT', 1000)
    local noted = page[2]
    for i = 1, #noted, 2 do
        local id = string.match(noted[i], '^[bu](%d+-%d+)$')
        if not id or not redis.call('XPENDING', stream, group, id, id, 1)[1] then
            redis.call('HDEL', notes, noted[i])
        end
    end
    return page[1]
end
