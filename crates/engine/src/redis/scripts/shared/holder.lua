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

-- For how long a client start counts as alive after it has shown that it lives, in milliseconds.
local life = 10000
-- Nobody counts as alive for longer than this, in milliseconds: a later time is of before the server's clock went back.
local longest = 60000

-- Whether a client start lives. One whose key this user may not look at may do so.
local function lives(key, expiry, now)
    local counts = expiry > now and expiry <= now + longest
    if counts or not key then
        return counts
    end
    local left = redis.pcall('PTTL', key)
    if type(left) == 'number' and left > longest then
        -- Who lives renews it long before.
        redis.pcall('PEXPIRE', key, life)
    end
    return left ~= -2
end
