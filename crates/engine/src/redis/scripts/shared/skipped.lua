-- What a group has read past of a type is a text of slices, each `minute first last count kind;`: all entries of that type from
-- the first to the last, oldest slice first. The kind is `b` for what was added while the group had no living member, else `n`.
-- `given_up` is the last entry that the group has given up, of any type.
local most_slices = 64

local function slices_of(text)
    local slices = {}
    for minute, first, last, count, kind in string.gmatch(text or '', '(%d+) (%d+%-%d+) (%d+%-%d+) (%d+) (%a);') do
        slices[#slices + 1] = { minute = tonumber(minute), first = first, last = last, count = tonumber(count), kind = kind }
    end
    return slices
end

-- The text of slices, nil where there are none.
local function text_of(slices)
    local texts = {}
    for i, slice in ipairs(slices) do
        texts[i] = string.format('%.0f %s %s %.0f %s;', slice.minute, slice.first, slice.last, slice.count, slice.kind)
    end
    return #texts > 0 and table.concat(texts) or nil
end

-- Adds `other` to a slice.
local function unite(slice, other)
    slice.minute, slice.count = math.max(slice.minute, other.minute), slice.count + other.count
    if below(other.first, slice.first) then slice.first = other.first end
    if below(slice.last, other.last) then slice.last = other.last end
    if other.kind == 'b' then slice.kind = 'b' end
end

-- Notes that an entry is read past in this minute.
local function note(slices, id, kind, given_up, minute)
    local new = { minute = minute, first = id, last = id, count = 1, kind = kind }
    local at = #slices + 1
    while at > 1 and not below(slices[at - 1].last, id) do
        at = at - 1
    end
    local slice = slices[at]
    if slice then
        if below(id, slice.first) and not below(given_up, id) then
            -- Between them there may be what was given up.
            slice = nil
        end
    else
        local last = slices[#slices]
        local is_same = last and last.kind == kind and (kind == 'b' or last.minute == minute)
        slice = is_same and below(given_up, last.last) and last
    end
    if slice then
        return unite(slice, new)
    end
    table.insert(slices, at, new)
    if #slices > most_slices then
        unite(slices[2], table.remove(slices, 1))
    end
end

-- The slices that may still be taken up, and the last entry that was given up by now.
local function kept(slices, now, given_up)
    local left = {}
    for _, slice in ipairs(slices) do
        local age = slice.kind == 'b' and 86400000 or 600000
        if (slice.minute + 1) * 60000 + age > now then
            left[#left + 1] = slice
        elseif below(given_up, slice.last) then
            given_up = slice.last
        end
    end
    return left, given_up
end
