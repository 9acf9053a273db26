-- Makes a consumer the owner of entries that the group had read past, oldest first, task by task. One call looks at a thousand
-- entries at the most, and may stop early when the answer is large.
-- KEYS: stream, consumers, tasks.
-- ARGV: group, consumer, instance, how many at the most, where the type may stand (JSON: each the name of a field, and the path in
--       its JSON), the field with the only group, for how many milliseconds a client that is told of a loss may say that it has told it, the number of tasks whose loss was told, these
--       tasks; then the tasks that are worked on.
-- Returns: for each entry its id and its fields; the tasks that this consumer need not ask for again; of each of those that has
--          not found all that the group had read past, its number, how many are gone and the ids between which they were.
local stream, consumers, tasks = KEYS[1], KEYS[2], KEYS[3]
local group, consumer, most = ARGV[1], ARGV[2], tonumber(ARGV[4])
local entries, done, gone, scanned, bytes = {}, {}, {}, 0, 0
-- Says so when there is no group.
redis.call('XPENDING', stream, group)
if not is_mine(consumers, consumer, ARGV[3]) then
    return { entries, done, gone }
end

-- A task that has not found all stays until somebody says that the loss was told: `!` and until when who may do so in the place
-- of the ids that are left out.
local now, me = time(), redis.sha1hex(ARGV[3])
local first_task = 9 + tonumber(ARGV[8])
for i = 9, first_task - 1 do
    local teller = string.match(redis.call('HGET', tasks, ARGV[i]) or '', '^%S+ %S+ !%d+:(%x+) ')
    if teller == me then
        redis.call('HDEL', tasks, ARGV[i])
    end
end

-- Tells of what is gone. Who is told may be told again; anybody else is when this client does not say in time that it has told it.
local function tell(number, next, last, missing, first, type)
    redis.call('HSET', tasks, number, string.format(
        '%s %s !%.0f:%s %.0f %s %s', next, last, now + tonumber(ARGV[7]), me, missing, first, type))
    gone[#gone + 1] = { tonumber(number), missing, first, last }
end

local places = cjson.decode(ARGV[5])

-- What stands in a place, where the field has this value.
local function at(place, value)
    for step = 2, #place do
        if step == 2 then
            local read, json = pcall(cjson.decode, value)
            value = read and json
        end
        value = type(value) == 'table' and value[place[step]]
    end
    return value
end

-- Whether an entry has that type, and is for this group.
local function is_for(fields, wanted)
    local of, only = false, nil
    for i = 1, #fields, 2 do
        if fields[i] == ARGV[6] then
            only = only or fields[i + 1]
        end
        for _, place in ipairs(places) do
            of = of or (fields[i] == place[1] and at(place, fields[i + 1]) == wanted)
        end
    end
    return of and (not only or only == group)
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
    local till, teller = string.match(left_out, '^!(%d+):(%x+)$')
    if till then
        if teller == me or tonumber(till) <= now then
            tell(number, next, last, missing, first, type)
        end
        return true
    end
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
            local from, unsure = string.match(left_out, '>(%d+%-%d+):(%d+)')
            if from and redis.call('XRANGE', stream, '-', from, 'COUNT', 1)[1] then
                -- What is trimmed is before the position.
                missing = math.max(missing - tonumber(unsure), 0)
            end
            if missing > 0 then
                tell(number, next, last, missing, first, type)
            else
                redis.call('HDEL', tasks, number)
            end
            return true
        end
    end
end

for i = first_task, #ARGV do
    if not work_on(ARGV[i]) then
        break
    end
    done[#done + 1] = tonumber(ARGV[i])
end
return { entries, done, gone }
