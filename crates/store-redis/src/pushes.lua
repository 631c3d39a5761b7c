-- The pushes of the mailbox. Each call of this script is one step that nobody sees half done.
--
-- KEYS[1] is what the names of all that is touched here begin with. It has a hash tag, so that in a Cluster all of it is on one
-- node, to which this call was sent. ARGV[1] says what to do, ARGV[2] is machine time in milliseconds, the rest is told below.
--
--   last         the number or turn that was given last
--   push:ID      a hash: an open push (fields as in store::StoredPush; `state` is waiting, running or dead; `due` is when
--                somebody is to look at it: when it waits no longer, or when its lease ends), and `by`, its last change
--   lane:LANE    sorted by turn: the numbers of its open pushes that are no dead letters
--   due          sorted by that moment of the first push of each: the lanes
--   known        a hash by key: `o` and the number of an open push; of one that is done `d`, or `a` and its answer
--   done         sorted by when they were done: the keys
--   letters      a hash by number, of dead letters: bytes of packet and error, and when it died
--   ended:BY     for a minute: the change BY has ended a push well
--
-- A change that got no answer may be asked for again under the same name, BY: then it is not made twice.

local BASE, NOW = KEYS[1] .. ':', tonumber(ARGV[2])
local LAST, DUE, KNOWN = BASE .. 'last', BASE .. 'due', BASE .. 'known'
local DONE, LETTERS = BASE .. 'done', BASE .. 'letters'
local ASKED_AGAIN = 60000

local function push_of(id) return BASE .. 'push:' .. id end
local function lane_of(lane) return BASE .. 'lane:' .. lane end

local function first_of(lane)
  return redis.call('ZRANGE', lane_of(lane), 0, 0)[1]
end

-- Enters when somebody is to look at a lane, after its first push, or what is known of that, has changed.
local function settle(lane)
  local first = first_of(lane)
  if first then
    redis.call('ZADD', DUE, redis.call('HGET', push_of(first), 'due'), lane)
  else
    redis.call('ZREM', DUE, lane)
  end
end

local function shown(id)
  local push = redis.call('HGETALL', push_of(id))
  if #push == 0 then return false end
  table.insert(push, 1, id)
  return push
end

local function find(key)
  local known = redis.call('HGET', KNOWN, key)
  if not known then return {'none'} end
  local kind, rest = known:sub(1, 1), known:sub(2)
  if kind == 'd' then return {'done'} end
  if kind == 'a' then return {'done', rest} end
  local push = shown(rest)
  if not push then return {'none'} end
  table.insert(push, 1, 'open')
  return push
end

local function take(by, lane, key, packet, now)
  local found = find(key)
  if found[1] == 'open' and redis.call('HGET', push_of(found[2]), 'by') == by then
    return {'new', found[2]}
  end
  if found[1] ~= 'none' then return found end
  local id = string.format('%.0f', redis.call('INCR', LAST))
  redis.call('HSET', push_of(id), 'key', key, 'lane', lane, 'turn', id, 'packet', packet, 'taken_at', now,
    'attempts', 0, 'earlier', 0, 'failures', 0, 'state', 'waiting', 'due', now, 'by', by)
  redis.call('HSET', KNOWN, key, 'o' .. id)
  redis.call('ZADD', lane_of(lane), id, id)
  settle(lane)
  return {'new', id}
end

local function begin(by, id, owner, until_)
  local push = push_of(id)
  local state, due, lane, last = unpack(redis.call('HMGET', push, 'state', 'due', 'lane', 'by'))
  if not state or state == 'dead' then return false end
  if last == by then return redis.call('HGET', push, 'attempts') end
  if first_of(lane) ~= id or (state == 'running' and tonumber(due) > NOW) then return false end
  local attempts = redis.call('HINCRBY', push, 'attempts', 1)
  redis.call('HSET', push, 'state', 'running', 'due', until_, 'owner', owner, 'by', by)
  settle(lane)
  return string.format('%.0f', attempts)
end

-- Whether an attempt is the last one of its push, and runs.
local function holds(id, number, owner)
  local state, attempts, of = unpack(redis.call('HMGET', push_of(id), 'state', 'attempts', 'owner'))
  return state == 'running' and attempts == number and of == owner
end

local function renew(id, number, owner, until_)
  if not holds(id, number, owner) then return 0 end
  redis.call('HSET', push_of(id), 'due', until_)
  settle(redis.call('HGET', push_of(id), 'lane'))
  return 1
end

-- Leaves of a push its key and answer.
local function close(id, left)
  local key, lane = unpack(redis.call('HMGET', push_of(id), 'key', 'lane'))
  redis.call('DEL', push_of(id))
  redis.call('HDEL', LETTERS, id)
  redis.call('ZREM', lane_of(lane), id)
  redis.call('HSET', KNOWN, key, left)
  redis.call('ZADD', DONE, ARGV[2], key)
  settle(lane)
end

-- `how` is done (without an answer), answered (`what` is it), deferred, failed (`what` is when it is due), or dead (`what` is the error).
local function finish(by, id, number, owner, how, what)
  local push, ended = push_of(id), BASE .. 'ended:' .. by
  if redis.call('HGET', push, 'by') == by or redis.call('EXISTS', ended) == 1 then return 1 end
  if not holds(id, number, owner) then return 0 end
  if how == 'done' or how == 'answered' then
    redis.call('SET', ended, '', 'PX', ASKED_AGAIN)
    close(id, how == 'done' and 'd' or 'a' .. what)
    return 1
  end
  local lane = redis.call('HGET', push, 'lane')
  redis.call('HDEL', push, 'owner')
  if how ~= 'deferred' then redis.call('HINCRBY', push, 'failures', 1) end
  if how == 'dead' then
    local bytes = redis.call('HSTRLEN', push, 'packet') + #what
    redis.call('HSET', push, 'state', 'dead', 'error', what, 'died_at', ARGV[2], 'by', by)
    redis.call('HSET', LETTERS, id, string.format('%.0f %s', bytes, ARGV[2]))
    redis.call('ZREM', lane_of(lane), id)
  else
    redis.call('HSET', push, 'state', 'waiting', 'due', what, 'by', by)
  end
  settle(lane)
  return 1
end

local function revive(by, id, afresh)
  local push = push_of(id)
  local state, lane, last, attempts = unpack(redis.call('HMGET', push, 'state', 'lane', 'by', 'attempts'))
  if last == by then return shown(id) end
  if state ~= 'dead' then return false end
  local turn = string.format('%.0f', redis.call('INCR', LAST))
  if afresh == '1' then redis.call('HSET', push, 'earlier', attempts, 'failures', 0) end
  redis.call('HSET', push, 'state', 'waiting', 'due', ARGV[2], 'turn', turn, 'by', by)
  redis.call('HDEL', push, 'error', 'died_at')
  redis.call('HDEL', LETTERS, id)
  redis.call('ZADD', lane_of(lane), turn, id)
  settle(lane)
  return shown(id)
end

local function dismiss(id)
  if redis.call('HGET', push_of(id), 'state') ~= 'dead' then return 0 end
  close(id, 'd')
  return 1
end

-- Drops these dead letters, all of them or, if one is none any more, none.
local function drop(ids)
  for _, id in ipairs(ids) do
    if redis.call('HEXISTS', LETTERS, id) == 0 then return 0 end
  end
  for _, id in ipairs(ids) do
    redis.call('HDEL', KNOWN, redis.call('HGET', push_of(id), 'key'))
    redis.call('DEL', push_of(id))
    redis.call('HDEL', LETTERS, id)
  end
  return 1
end

local function forget(before, most)
  local keys = redis.call('ZRANGEBYSCORE', DONE, '-inf', '(' .. before, 'LIMIT', 0, most)
  for _, key in ipairs(keys) do
    redis.call('HDEL', KNOWN, key)
    redis.call('ZREM', DONE, key)
  end
  return #keys
end

local what = ARGV[1]
if what == 'take' then
  -- Any number of them, five arguments each.
  local taken = {}
  for at = 3, #ARGV, 5 do
    taken[#taken + 1] = take(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
  end
  return taken
elseif what == 'find' then
  return find(ARGV[3])
elseif what == 'first' then
  local id = first_of(ARGV[3])
  return id and shown(id)
elseif what == 'begin' then
  return begin(ARGV[3], ARGV[4], ARGV[5], ARGV[6])
elseif what == 'renew' then
  return renew(ARGV[3], ARGV[4], ARGV[5], ARGV[6])
elseif what == 'finish' then
  return finish(ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8])
elseif what == 'revive' then
  return revive(ARGV[3], ARGV[4], ARGV[5])
elseif what == 'dismiss' then
  return dismiss(ARGV[3])
elseif what == 'letters' then
  -- Those of these numbers that are still dead.
  local letters = {}
  for at = 3, #ARGV do
    if redis.call('HEXISTS', LETTERS, ARGV[at]) == 1 then
      letters[#letters + 1] = shown(ARGV[at])
    end
  end
  return letters
elseif what == 'drop' then
  local ids = {}
  for at = 3, #ARGV do ids[#ids + 1] = ARGV[at] end
  return drop(ids)
elseif what == 'forget' then
  return forget(ARGV[3], ARGV[4])
end
return redis.error_reply('ERR yunqiao: no such step')
