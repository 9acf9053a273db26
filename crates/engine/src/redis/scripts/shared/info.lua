-- A reply of names and values in turn, as a table.
local function named(flat)
    local table = {}
    for i = 1, #flat, 2 do
        table[flat[i]] = flat[i + 1]
    end
    return table
end

-- The groups of a stream, each as a table; nil and the error where there is no stream.
local function groups_of(stream)
    local rows = redis.pcall('XINFO', 'GROUPS', stream)
    if rows.err then
        return nil, rows
    end
    local groups = {}
    for _, row in ipairs(rows) do
        groups[#groups + 1] = named(row)
    end
    return groups
end

-- A group of a stream; nil and the error where there is none.
local function group_of(stream, name)
    local groups, failure = groups_of(stream)
    for _, group in ipairs(groups or {}) do
        if group.name == name then
            return group
        end
    end
    if failure and not string.find(failure.err, 'no such key', 1, true) then
        return nil, failure
    end
    return nil, { err = 'NOGROUP there is no group ' .. name .. ' of ' .. stream }
end
