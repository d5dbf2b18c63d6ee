-- Reads epochs, and makes those that are not there. What a gate looks up after this, it keeps under these.
--
-- KEYS: epochs. ARGV: a value that nothing ever had; how long they last without being read here again, in seconds.
local values = redis.call('MGET', unpack(KEYS))
for i = 1, #KEYS do
  if values[i] then
    redis.call('EXPIRE', KEYS[i], ARGV[2])
  else
    values[i] = ARGV[1]
    redis.call('SET', KEYS[i], ARGV[1], 'EX', ARGV[2])
  end
end
return values
