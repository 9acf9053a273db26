-- The fields of an entry that are an event's own, to be appended again: none whose name begins with `prefix` or is in `others`,
-- which a dead letter adds, and not `only_group`, which names the group that it is for. More than a script can hand over
-- are cut.
local function copied(fields, only_group, prefix, others)
    local own = {}
    for i = 1, math.min(#fields, 7000), 2 do
        if string.sub(fields[i], 1, #prefix) ~= prefix and fields[i] ~= only_group and not others[fields[i]] then
            own[#own + 1] = fields[i]
            own[#own + 1] = fields[i + 1]
        end
    end
    return own
end
