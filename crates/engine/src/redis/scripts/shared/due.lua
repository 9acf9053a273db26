-- In how many milliseconds an entry is due, 0 if it is; nil where no due time is kept.
local function wait_of(dues, id, now)
    local due = redis.call('ZSCORE', dues, id)
    return due and math.max(tonumber(due) - now, 0) or nil
end
