-- Moves entries to the dead letters, fenced: all of them, or none when the server refuses one.
-- KEYS: stream, notes, consumers; then the stream and the list of dead letters, as `what` says.
-- ARGV: group, consumer, instance, dead letters kept about; the names of the fields that a dead letter adds: id,
--       stream, group, consumer, attempts, error, reason, time; what of `sl` there is: a stream, a list (neither: the entries
--       are acknowledged only); how many letters the list has, and how one is put into it; how many fields more a letter in the
--       stream has, and their names; then id, attempts, reason, error, the values of those fields, and with a list the letter
--       for each, ids ascending.
-- Returns: the ids that the consumer does not own, those whose entry is gone, and how many letters had to go for these.
local stream, notes, consumers = KEYS[1], KEYS[2], KEYS[3]
local group, consumer, instance = ARGV[1], ARGV[2], ARGV[3]
local what, bound, push, more = ARGV[13], tonumber(ARGV[14]), ARGV[15], tonumber(ARGV[16])
local letters = string.find(what, 's', 1, true) and KEYS[4]
local list = string.find(what, 'l', 1, true) and KEYS[#KEYS]
local start, step = 17 + more, 4 + more + (list and 1 or 0)
local ids, taken, gone, buried, made, pushed, length = {}, {}, {}, {}, {}, 0, 0
for i = start, #ARGV, step do
    ids[#ids + 1] = ARGV[i]
end
local mine = owned(stream, consumers, group, consumer, instance, ids)
local now = time()
local before = letters and redis.pcall('XLEN', letters)

local function bury(i)
    local id = ARGV[i]
    local entry = redis.call('XRANGE', stream, id, id)[1]
    if not entry then
        gone[#gone + 1] = id
        return
    end
    if list then
        -- Before the stream, where adding may trim: that is not taken back.
        local answer = redis.pcall(push, list, ARGV[i + 4 + more])
        if type(answer) == 'table' then
            return answer
        end
        pushed, length = pushed + 1, answer
    end
    if letters then
        local fields = {}
        for f = 1, math.min(#entry[2], 7000) do
            fields[f] = entry[2][f]
        end
        local added = { id, stream, group, consumer, ARGV[i + 1], ARGV[i + 3], ARGV[i + 2], string.format('%.0f', now) }
        for f, value in ipairs(added) do
            fields[#fields + 1] = ARGV[4 + f]
            fields[#fields + 1] = value
        end
        for f = 1, more do
            fields[#fields + 1] = ARGV[16 + f]
            fields[#fields + 1] = ARGV[i + 3 + f]
        end
        local letter = add_capped(letters, ARGV[4], unpack(fields))
        if type(letter) == 'table' then
            return letter
        end
        made[#made + 1] = letter
    end
end

-- Takes back what was added. Not every user may do that in either way.
local function undo()
    if #made > 0 then
        redis.pcall('XDEL', letters, unpack(made))
    end
    if pushed > 0 then
        local first, last, pop = pushed, -1, 'LPOP'
        if push == 'RPUSH' then
            first, last, pop = 0, -pushed - 1, 'RPOP'
        end
        if redis.pcall('LTRIM', list, first, last).err then
            for _ = 1, pushed do
                redis.pcall(pop, list)
            end
        end
    end
end

for i = start, #ARGV, step do
    local id = ARGV[i]
    if not mine[id] then
        taken[#taken + 1] = id
    else
        local refused = bury(i)
        if refused then
            undo()
            return refused
        end
        buried[#buried + 1] = id
    end
end
local dropped = 0
if length > bound then
    local first, last = 0, bound - 1
    if push == 'RPUSH' then
        first, last = -bound, -1
    end
    local trimmed = redis.pcall('LTRIM', list, first, last)
    if trimmed.err then
        undo()
        return trimmed
    end
    -- Those of copies are still in the stream.
    dropped = letters and 0 or length - bound
end
if letters and type(before) == 'number' and #made > 0 then
    local after = redis.pcall('XLEN', letters)
    if type(after) == 'number' then
        dropped = math.max(before + #made - after, 0)
    end
end
if #buried > 0 then
    redis.call('XACK', stream, group, unpack(buried))
    for _, id in ipairs(buried) do
        redis.call('HDEL', notes, 'b' .. id, 'u' .. id)
    end
end
return { taken, gone, dropped }
