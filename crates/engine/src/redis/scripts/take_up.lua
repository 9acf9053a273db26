-- Makes a consumer the owner of entries that the group had read past, oldest first, task by task. One call looks at a thousand
-- entries at the most, and may stop early when the answer is large.
-- KEYS: stream, consumers, tasks.
-- ARGV: group, consumer, instance, how many at the most, the fields with the type and with the only group; then the tasks.
-- Returns: for each entry its id and its fields; the tasks that are done; of each of those that has not found all that the group
--          had read past, how many are gone and the ids between which they were.
local stream, consumers, tasks = KEYS[1], KEYS[2], KEYS[3]
local group, consumer, most = ARGV[1], ARGV[2], tonumber(ARGV[4])
local entries, done, gone, scanned, bytes = {}, {}, {}, 0, 0
-- Says so when there is no group.
redis.call('XPENDING', stream, group)
if not is_mine(consumers, consumer, ARGV[3]) then
    return { entries, done, gone }
end

-- Whether an entry has that type, and is for this group.
local function is_for(fields, type)
    local of, only
    for i = 1, #fields, 2 do
        if fields[i] == ARGV[5] then
            of = of or fields[i + 1]
        elseif fields[i] == ARGV[6] then
            only = only or fields[i + 1]
        end
    end
    return of == type and (not only or only == group)
end

-- Works on a task; nothing where there is room for no more.
local function work_on(number)
    local text = redis.call('HGET', tasks, number)
    if not text then
        return true
    end
    local next, last, left_out, missing, first, type =
        string.match(text, '^(%d+%-%d+) (%d+%-%d+) (%S+) (%d+) (%d+%-%d+) (.*)$')
    missing = tonumber(missing)
    local left = {}
    for id in string.gmatch(left_out, '%d+%-%d+') do
        left[id] = true
    end
    while true do
        local page = redis.call('XRANGE', stream, next, last, 'COUNT', 100)
        for _, entry in ipairs(page) do
            if #entries >= most or scanned >= 1000 or bytes >= 1048576 then
                redis.call('HSET', tasks, number, string.format(
                    '%s %s %s %.0f %s %s', next, last, left_out, missing, first, type))
                return false
            end
            local id, fields = entry[1], entry[2]
            scanned, next = scanned + 1, behind(id)
            if not left[id] and is_for(fields, type) then
                missing = math.max(missing - 1, 0)
                if not redis.call('XPENDING', stream, group, id, id, 1)[1] then
                    redis.call('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', 1, 'FORCE', 'JUSTID')
                    entries[#entries + 1] = { id, fields }
                    for _, field in ipairs(fields) do
                        bytes = bytes + #field
                    end
                end
            end
        end
        if #page < 100 then
            redis.call('HDEL', tasks, number)
            if missing > 0 then
                gone[#gone + 1] = { missing, first, last }
            end
            return true
        end
    end
end

for i = 7, #ARGV do
    if not work_on(ARGV[i]) then
        break
    end
    done[#done + 1] = tonumber(ARGV[i])
end
return { entries, done, gone }
