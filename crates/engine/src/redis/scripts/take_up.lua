-- Makes a consumer the owner of entries that the group had read past, oldest first, task by task. One call looks at a thousand
-- entries at the most, and may stop early when the answer is large, or when it comes to entries whose type no field tells.
-- KEYS: stream, consumers, tasks.
-- ARGV: group, consumer, instance, how many at the most, the field with the only group, for how many milliseconds a client that is
--       told of a loss may say that it has told it; and lists, each behind its length: the fields with the type, the ids of entries
--       whose type no field tells and in their order these types, the tasks whose loss was told, the tasks that are worked on.
-- Returns: for each entry its id and its fields; the tasks that this consumer need not ask for again; of each of those that has
--          not found all that the group had read past, its number, how many are gone and the ids between which they were; for
--          each entry whose type no field tells its id and its fields: the call is to be made again with their types.
local stream, consumers, tasks = KEYS[1], KEYS[2], KEYS[3]
local group, consumer, most = ARGV[1], ARGV[2], tonumber(ARGV[4])
local entries, done, gone, unclear, scanned, bytes = {}, {}, {}, {}, 0, 0
-- The place of the next argument, and the list that begins there, behind its length.
local at = 7
local function list()
    local length, list = tonumber(ARGV[at]), {}
    for i = 1, length do
        list[i] = ARGV[at + i]
    end
    at = at + length + 1
    return list
end
local type_fields, of_type = {}, {}
for _, name in ipairs(list()) do
    type_fields[name] = true
end
local told_ids, told_types = list(), list()
for i, id in ipairs(told_ids) do
    of_type[id] = told_types[i]
end
local told, work = list(), list()
-- Says so when there is no group.
redis.call('XPENDING', stream, group)
if not is_mine(consumers, consumer, ARGV[3]) then
    return { entries, done, gone, unclear }
end

-- A task that has not found all stays until somebody says that the loss was told: `!` and until when who may do so in the place
-- of the ids that are left out.
local now, me = time(), redis.sha1hex(ARGV[3])
for _, number in ipairs(told) do
    local teller = string.match(redis.call('HGET', tasks, number) or '', '^%S+ %S+ !%d+:(%x+) ')
    if teller == me then
        redis.call('HDEL', tasks, number)
    end
end

-- Tells of what is gone. Who is told may be told again; anybody else is when this client does not say in time that it has told it.
local function tell(number, next, last, missing, first, type)
    redis.call('HSET', tasks, number, string.format(
        '%s %s !%.0f:%s %.0f %s %s', next, last, now + tonumber(ARGV[6]), me, missing, first, type))
    gone[#gone + 1] = { tonumber(number), missing, first, last }
end

-- Whether an entry has that type, in any of the fields that may tell it, and is for this group; nil where nobody knows the type yet.
local function is_for(id, fields, type)
    local known, has, only = of_type[id] ~= nil, of_type[id] == type, nil
    for i = 1, #fields, 2 do
        if type_fields[fields[i]] then
            known, has = true, has or fields[i + 1] == type
        elseif fields[i] == ARGV[5] then
            only = only or fields[i + 1]
        end
    end
    if only and only ~= group then
        return false
    end
    if known then
        return has
    end
end

-- Notes the entries of a page whose type nobody knows yet, from a place on.
local function note_unclear(page, from, type, left)
    for place = from, #page do
        local id, fields = page[place][1], page[place][2]
        if bytes < 1048576 and not left[id] and is_for(id, fields, type) == nil then
            unclear[#unclear + 1] = { id, fields }
            for _, field in ipairs(fields) do
                bytes = bytes + #field
            end
        end
    end
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
        for place, entry in ipairs(page) do
            local id, fields = entry[1], entry[2]
            local wanted = not left[id] and is_for(id, fields, type)
            if wanted == nil then
                note_unclear(page, place, type, left)
            end
            if #unclear > 0 or #entries >= most or scanned >= 1000 or bytes >= 1048576 then
                redis.call('HSET', tasks, number, string.format(
                    '%s %s %s %.0f %s %s', next, last, left_out, missing, first, type))
                return false
            end
            scanned, next = scanned + 1, behind(id)
            if wanted then
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

for _, number in ipairs(work) do
    if not work_on(number) then
        break
    end
    done[#done + 1] = tonumber(number)
end
return { entries, done, gone, unclear }
