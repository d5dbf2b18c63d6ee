-- Whether these epochs are still the expected ones.
--
-- KEYS: epochs. ARGV: their values.
local found = redis.call('MGET', unpack(KEYS))
for i = 1, #KEYS do
  if found[i] ~= ARGV[i] then
    return 0
  end
end
return 1
