-- Moves entries to the dead letters, fenced: all of them, or none when the server refuses one.
-- KEYS: stream, notes, dead letters (without: the entries are acknowledged only).
-- ARGV: group, consumer, dead letters kept about; then id, attempts, reason, error for each, ids ascending.
-- Returns: the ids that the consumer does not own, and those whose entry is gone.
local stream, notes, letters = KEYS[1], KEYS[2], KEYS[3]
local group, consumer = ARGV[1], ARGV[2]
local ids, lost, buried, made = {}, {}, {}, {}
for i = 4, #ARGV, 4 do
    ids[#ids + 1] = ARGV[i]
end
local mine = owned(stream, group, consumer, ids)
local now = time()

local function bury(id, attempts, reason, failure)
    local entry = redis.call('XRANGE', stream, id, id)[1]
    if not entry then
        lost[#lost + 1] = id
        return
    end
    if not letters then
        return
    end
    local fields = {}
    for i = 1, math.min(#entry[2], 7000) do
        fields[i] = entry[2][i]
    end
    for _, field in ipairs({
        'dlq-id', id, 'dlq-stream', stream, 'dlq-group', group, 'dlq-consumer', consumer,
        'dlq-attempts', attempts, 'dlq-error', failure, 'dlq-reason', reason,
        'dlq-time', string.format('%.0f', now),
    }) do
        fields[#fields + 1] = field
    end
    local letter = redis.pcall('XADD', letters, 'MAXLEN', '~', ARGV[3], '*', unpack(fields))
    if type(letter) == 'table' then
        return letter
    end
    made[#made + 1] = letter
end

for i = 4, #ARGV, 4 do
    local id = ARGV[i]
    if not mine[id] then
        lost[#lost + 1] = id
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
return lost
