-- Publishes an event to its channels: one message to one channel, or to each of several, which stand behind a zero byte each. Or
-- several messages one behind the other: then the channels begin with the byte 1, and each has before it its length, and where its
-- message begins and how long that is, each with a space behind it. Answers how many received it in all, or an error, after which
-- it is not published to the rest.
local function publish_to(channels, message)
  local kind = string.byte(channels, 1)
  if kind ~= 0 and kind ~= 1 then
    return redis.pcall('PUBLISH', channels, message)
  end
  local receivers, at = 0, 2
  while at <= #channels do
    local channel, text
    if kind == 0 then
      local over = string.find(channels, '%z', at) or #channels + 1
      channel, text, at = string.sub(channels, at, over - 1), message, over + 1
    else
      local size, from, length, start = string.match(channels, '^(%d+) (%d+) (%d+) ()', at)
      at = start + size
      channel, text = string.sub(channels, start, at - 1), string.sub(message, from + 1, from + length)
    end
    local answer = redis.pcall('PUBLISH', channel, text)
    if type(answer) == 'table' then
      return answer
    end
    receivers = receivers + answer
  end
  return receivers
end
