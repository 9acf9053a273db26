-- Does for one event whatever was asked for: adds it to a stream unless it is there already, keeps it by its
-- id and in the history, and publishes it.
-- ARGV: what of `sdeh` there is; the channels, or nothing; the message or messages; the stream's cap; for how long the
-- mark of a duplicate and the event are kept (ms); the fields. KEYS: those of `sdeh`: the stream, the mark
-- of a duplicate, the event, the history.
-- Answers its id; how many received it; 1 for a duplicate; and what failed after it was added. Or nothing
-- and why it was refused: then nothing was done.
local what, channel, message, cap, window, ttl = unpack(ARGV, 1, 6)
local used = 0
local function key_of(letter)
  if string.find(what, letter, 1, true) then
    used = used + 1
    return KEYS[used]
  end
end
local stream, mark, kept, history = key_of('s'), key_of('d'), key_of('e'), key_of('h')
local id, failed = false, false

-- A reply, and nothing for an error. What fails before the event is anywhere refuses it; what fails later is only told.
local function noted(reply)
  if type(reply) == 'table' and reply.err then
    failed = failed or reply.err
    return nil
  end
  return reply
end

local function run(...)
  return noted(redis.pcall(...))
end

if mark then
  local first = run('GET', mark)
  if first then
    return {first, 0, 1}
  end
end
if stream and not failed then
  id = noted(add_capped(stream, cap, unpack(ARGV, 7)))
end
if failed then
  return {false, failed}
end
if kept then
  -- Of several messages, the first.
  local length = string.match(channel, '^\1%d+ %d+ (%d+) ')
  run('SET', kept, length and string.sub(message, 1, length) or message, 'PX', ttl)
end
local now = history and not failed and run('TIME')
if now then
  local oldest = string.format('%.0f', math.max(now[1] * 1000 - ttl, 0))
  run('XADD', history, 'MINID', '~', oldest, '*', unpack(ARGV, 7))
  -- On an idle bus nobody trims it. Another client may keep events for longer.
  if not failed and run('PTTL', history) < tonumber(ttl) then
    run('PEXPIRE', history, ttl)
  end
end
if failed and not id then
  if kept then
    redis.pcall('DEL', kept)
  end
  return {false, failed}
end
local receivers = 0
if channel ~= '' then
  receivers = noted(publish_to(channel, message)) or 0
end
if mark then
  run('SET', mark, id, 'PX', window)
end
return {id, receivers, 0, failed}
