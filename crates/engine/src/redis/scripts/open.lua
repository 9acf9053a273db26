-- Creates a stream and a group of it where they are missing.
-- KEYS: stream, notes: those of a group of that name that was lost go.
-- ARGV: group; where it starts if it is new: '$', '0' or an id; '1' if an id beyond the stream's last becomes '0'.
-- Returns: whether the group was created; its last delivered id.
local stream, name, from = KEYS[1], ARGV[1], ARGV[2]
local group = group_of(stream, name)
if group then
    return { 0, group['last-delivered-id'] }
end
if ARGV[3] == '1' and from ~= '$' and from ~= '0' then
    local last = '0-0'
    if redis.call('EXISTS', stream) == 1 then
        last = named(redis.call('XINFO', 'STREAM', stream))['last-generated-id']
    end
    if below(last, from) then
        from = '0'
    end
end
redis.call('XGROUP', 'CREATE', stream, name, from, 'MKSTREAM')
redis.call('DEL', KEYS[2])
return { 1, group_of(stream, name)['last-delivered-id'] }
