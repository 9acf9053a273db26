-- Publishes a message to the channels of an event: to one, or to each of several, which stand behind a zero byte each. Answers how
-- many received it in all, or an error, after which it is not published to the rest.
local function publish_to(channels, message)
  if string.byte(channels, 1) ~= 0 then
    return redis.pcall('PUBLISH', channels, message)
  end
  local receivers = 0
  for channel in string.gmatch(channels, '[^%z]+') do
    local answer = redis.pcall('PUBLISH', channel, message)
    if type(answer) == 'table' then
      return answer
    end
    receivers = receivers + answer
  end
  return receivers
end
