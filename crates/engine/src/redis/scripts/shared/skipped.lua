-- What a group has read past of a type is a text of slices, each `minute first last count kind;`. The kind is `b` for what was
-- added while the group had no living member, else `n`.
local function slices_of(text)
    local slices = {}
    for minute, first, last, count, kind in string.gmatch(text or '', '(%d+) (%d+%-%d+) (%d+%-%d+) (%d+) (%a);') do
        slices[#slices + 1] = { minute = tonumber(minute), first = first, last = last, count = tonumber(count), kind = kind }
    end
    return slices
end

-- The slices that may still be taken up behind the id `from`, as a text; nil where there is none. Then the first id, the last,
-- their number, and how many are of slices that began before that id.
local function kept(slices, now, from)
    local texts, first, last, count, unsure = {}, nil, nil, 0, 0
    for _, slice in ipairs(slices) do
        local age = slice.kind == 'b' and 86400000 or 600000
        if (slice.minute + 1) * 60000 + age > now and (not from or below(from, slice.last)) then
            texts[#texts + 1] = string.format(
                '%.0f %s %s %.0f %s;', slice.minute, slice.first, slice.last, slice.count, slice.kind)
            if not first or below(slice.first, first) then first = slice.first end
            if not last or below(last, slice.last) then last = slice.last end
            count = count + slice.count
            if from and not below(from, slice.first) then unsure = unsure + slice.count end
        end
    end
    return #texts > 0 and table.concat(texts) or nil, first, last, count, unsure
end
