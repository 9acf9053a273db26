-- Moves entries to the dead letters, fenced: all of them, or none when the server refuses one.
-- KEYS: stream, notes, consumers, dead letters (without: the entries are acknowledged only).
-- ARGV: group, consumer, instance, dead letters kept about; the names of the fields that a dead letter adds: id,
--       stream, group, consumer, attempts, error, reason, time; then id, attempts, reason, error for each, ids ascending.
-- Returns: the ids that the consumer does not own, and those whose entry is gone.
local stream, notes, consumers, letters = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, consumer, instance = ARGV[1], ARGV[2], ARGV[3]
local ids, taken, gone, buried, made = {}, {}, {}, {}, {}
for i = 13, #ARGV, 4 do
    ids[#ids + 1] = ARGV[i]
end
local mine = owned(stream, consumers, group, consumer, instance, ids)
local now = time()

local function bury(id, attempts, reason, failure)
    local entry = redis.call('XRANGE', stream, id, id)[1]
    if not entry then
        gone[#gone + 1] = id
        return
    end
    if not letters then
        return
    end
    local fields = {}
    for i = 1, math.min(#entry[2], 7000) do
        fields[i] = entry[2][i]
    end
    local added = { id, stream, group, consumer, attempts, failure, reason, string.format('%.0f', now) }
    for i, value in ipairs(added) do
        fields[#fields + 1] = ARGV[4 + i]
        fields[#fields + 1] = value
    end
    local letter = add_capped(letters, ARGV[4], unpack(fields))
    if type(letter) == 'table' then
        return letter
    end
    made[#made + 1] = letter
end

for i = 13, #ARGV, 4 do
    local id = ARGV[i]
    if not mine[id] then
        taken[#taken + 1] = id
    else
        local refused = bury(id, ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
        if refused then
            if #made > 0 then
                redis.call('XDEL', letters, unpack(made))
            end
            return refused
        end
        buried[#buried + 1] = id
    end
end
if #buried > 0 then
    redis.call('XACK', stream, group, unpack(buried))
    for _, id in ipairs(buried) do
        redis.call('HDEL', notes, 'b' .. id, 'u' .. id)
    end
end
return { taken, gone }
