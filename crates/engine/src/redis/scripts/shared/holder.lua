-- Who has a consumer's name, as its entry tells: the client start, the key by which that lives (of builds before 0.2 nil), and
-- until when it counts as alive in any case. Nil where the entry tells nobody.
local function holder(entry)
    local who, expiry = string.match(entry or '', '^(.*) (%d+)$')
    if not who then
        return nil
    end
    local instance, key = string.match(who, '^(.-)\n(.*)$')
    return instance or who, key, tonumber(expiry)
end

-- Whether a client start lives. One whose key this user may not look at may do so.
local function lives(key, expiry, now)
    if expiry > now or not key then
        return expiry > now
    end
    return redis.pcall('EXISTS', key) ~= 0
end
