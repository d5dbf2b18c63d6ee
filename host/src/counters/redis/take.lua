-- Confirms epochs and takes a call from a bucket, in one step. The arithmetic is that of `policy/src/wire/limit.rs`,
-- which says why; a test holds one to the other.
--
-- KEYS: the bucket, then epochs. ARGV: `take`, or `look` to take nothing; the window in milliseconds; the limit; the time
-- in milliseconds, or -1 for this server's own; then the epochs that are expected.
-- Returns what became of it (-1 an epoch is another one, 0 refused, 1 admitted), the three parts of the counter, the time.
local NUMBERS, LIMIT_MAX, BEHIND_MAX = 16777216, 1048575, 10

if #KEYS > 1 then
  local found = redis.call('MGET', unpack(KEYS, 2))
  for i = 1, #found do
    if found[i] ~= ARGV[4 + i] then
      return { -1, 0, 0, 0, 0 }
    end
  end
end

local window, limit, now = tonumber(ARGV[2]), math.min(tonumber(ARGV[3]), LIMIT_MAX), tonumber(ARGV[4])
if now < 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local stored, previous, current = 0, 0, 0
local kept = redis.call('GET', KEYS[1])
if kept and #kept == 9 then
  stored, previous, current = struct.unpack('>I3I3I3', kept)
end

local cell = math.floor(now / window)
local elapsed, number = now - cell * window, cell % NUMBERS
local age = (number - stored) % NUMBERS
local behind = NUMBERS - age
local rolled, past = age ~= 0, false
if age == 1 then
  previous, current = current, 0
elseif age ~= 0 and behind <= BEHIND_MAX then
  number, elapsed, rolled, past = stored, 0, false, behind > 1
elseif age ~= 0 then
  previous, current = 0, 0
end

local room = (limit - current) * window - previous * (window - elapsed)
local admitted = room > 0 and not past
if ARGV[1] == 'take' then
  if admitted then
    current = current + 1
  end
  if admitted or rolled then
    -- Two cells later it says nothing any more.
    redis.call('SET', KEYS[1], struct.pack('>I3I3I3', number, previous, current), 'PX', 2 * window + 1000)
  end
end
return { admitted and 1 or 0, number, previous, current, now }
