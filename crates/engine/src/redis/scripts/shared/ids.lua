-- Entry ids are pairs of numbers of 64 bits, too large for Lua: they are compared as decimal text.
local function below(a, b)
    local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
    local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
    if a_ms ~= b_ms then
        if #a_ms ~= #b_ms then return #a_ms < #b_ms end
        return a_ms < b_ms
    end
    if #a_seq ~= #b_seq then return #a_seq < #b_seq end
    return a_seq < b_seq
end

-- The id behind this one; itself where its sequence number is too large to be counted on, unless it is the largest.
local function behind(id)
    local ms, seq = string.match(id, '^(%d+)-(%d+)$')
    if seq == '18446744073709551615' then return string.format('%.0f-0', ms + 1) end
    if #seq > 15 then return id end
    return string.format('%s-%.0f', ms, seq + 1)
end
