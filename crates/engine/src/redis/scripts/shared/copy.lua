-- The fields of an entry that are an event's own, to be appended again: none that a dead letter adds,
-- and not for which group it is. More than a script can hand over are cut.
local function copied(fields)
    local own = {}
    for i = 1, math.min(#fields, 7000), 2 do
        if string.sub(fields[i], 1, 4) ~= 'dlq-' and fields[i] ~= 'group' then
            own[#own + 1] = fields[i]
            own[#own + 1] = fields[i + 1]
        end
    end
    return own
end
