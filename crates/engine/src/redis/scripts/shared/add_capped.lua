-- Adds an entry, as `XADD` does it, and trims the stream to about its cap only where it has reached that, as far as one may
-- know: docs/design/torn-transactions.md says why the cap is not given always. Returns the reply, or the error.
local function add_capped(stream, cap, ...)
    local length = redis.pcall('XLEN', stream)
    if type(length) == 'number' and length < tonumber(cap) then
        return redis.pcall('XADD', stream, '*', ...)
    end
    return redis.pcall('XADD', stream, 'MAXLEN', '~', cap, '*', ...)
end

