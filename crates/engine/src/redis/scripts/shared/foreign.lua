-- Whether a consumer of a group is of another program: it is neither the one for what is not due, nor was it ever heard of.
local asked = {}
local function is_foreign(consumers, consumer, delayed)
    if asked[consumer] == nil then
        asked[consumer] = consumer ~= delayed and redis.call('HEXISTS', consumers, consumer) == 0
    end
    return asked[consumer]
end
