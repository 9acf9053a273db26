-- Adds events to a stream, and publishes each that was added.
-- KEYS: the stream. ARGV: its cap; how many fields an event has; their names; then for each event the
-- channel, the message and the values of the fields.
-- Answers two things for each event: its id and how many received it; or nothing and why it was refused;
-- or its id and why it was not published.
local pcall, byte, key, args = redis.pcall, string.byte, KEYS[1], ARGV
local cap, count, total = args[1], tonumber(args[2]), #args
local a, b, c, d, e, f, g, h = unpack(args, 3, 2 + count)
local answer, n = {}, 0
-- Only a stream that has reached its cap, as far as one may know, is trimmed, once a call: docs/design/torn-transactions.md.
local length = pcall('XLEN', key)
local is_full = type(length) ~= 'number' or length >= tonumber(cap)
for i = 3 + count, total, 2 + count do
  local v, id = i + 1, nil
  -- Written out, as building a list of the arguments takes longer than all the rest.
  if count == 7 and not is_full then
    id = pcall('XADD', key, '*', a, args[v + 1], b, args[v + 2], c, args[v + 3], d, args[v + 4],
      e, args[v + 5], f, args[v + 6], g, args[v + 7])
  elseif count == 8 and not is_full then
    id = pcall('XADD', key, '*', a, args[v + 1], b, args[v + 2], c, args[v + 3], d, args[v + 4],
      e, args[v + 5], f, args[v + 6], g, args[v + 7], h, args[v + 8])
  else
    local fields = is_full and {'MAXLEN', '~', cap, '*'} or {'*'}
    local before = #fields
    is_full = false
    for field = 1, count do
      fields[before + 2 * field - 1], fields[before + 2 * field] = args[2 + field], args[v + field]
    end
    id = pcall('XADD', key, unpack(fields))
  end
  if type(id) == 'table' then
    answer[n + 1], answer[n + 2] = false, id.err
  else
    local receivers
    local kind = byte(args[i], 1)
    if kind == 0 or kind == 1 then
      receivers = publish_to(args[i], args[v])
    else
      receivers = pcall('PUBLISH', args[i], args[v])
    end
    answer[n + 1] = id
    answer[n + 2] = type(receivers) == 'table' and receivers.err or receivers
  end
  n = n + 2
end
return answer
