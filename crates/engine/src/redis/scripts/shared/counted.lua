-- Whether the server counts what was added and read, as it does from 7.0 on, and whether it may forget what was read:
-- Redis 7.0 writes down where a group stands, and not how many entries it has read. After it has loaded its files, or
-- was a replica, it says too few.
local version = redis.REDIS_VERSION_NUM or 0
local counts, forgets = version >= 0x00070000, version >= 0x00070000 and version < 0x00070200

-- The id of the server's run; empty where it may not be asked for.
local function run_id()
    local info = redis.pcall('INFO', 'server')
    return type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
end

-- Whether the number of read entries that the server has is right. `kept` is what was noted of it: under which run, and
-- how many entries were read `at` a position.
local function is_believed(read, position, kept, run)
    if not forgets or position == '0-0' or (kept.run and kept.run == run and run ~= '') then
        return true
    elseif not kept.run then
        return read ~= 0
    end
    return run == '' and kept.read ~= string.format('%.0f', read)
end
