-- Removes notes on entries that are not pending any more; of very many notes some at a time.
local function tidy(stream, group, notes)
    local noted = redis.call('HSCAN', notes, 0, 'COUNT', 1000)[2]
    for i = 1, #noted, 2 do
        local id = string.match(noted[i], '^[bu](%d+-%d+)$')
        if not id or not redis.call('XPENDING', stream, group, id, id, 1)[1] then
            redis.call('HDEL', notes, noted[i])
        end
    end
end
