#!/usr/bin/env bash
# Deno 2.9.6 (npm package deno 2.9.6): with `Deno.serve`, `request.signal` aborts after every request, also after one that was answered whole.
#
# Expected: the signal of a request aborts when the client has gone before it had its answer, as in Bun, and as the Fetch handlers of Node
#   servers have it. A handler of server-sent events or of a long poll removes and counts its client there.
# Happens: the client has the whole body, and 0.1 s later the signal aborts. Deno says once that this is legacy behaviour; with
#   --unstable-no-legacy-abort it does not happen.
# Matters: a count of "clients that went away" by this signal counts every request. Clean up where the answer ends, and do it so
#   that a second call does nothing.
#
# Needs bash, node 20 or newer with npm; about 10 s. Seen on 2026-11-28:
#   default: body "whole", aborted 1 time(s)
#   --unstable-no-legacy-abort: body "whole", aborted 0 time(s)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work"
npm init -y >init.log
npm install --no-audit --no-fund deno@2.9.6 >install.log 2>&1
cat >serve.mjs <<'JS'
let aborts = 0;
const answer = (request) => {
  request.signal.addEventListener('abort', () => aborts++);
  return new Response('whole');
};
const server = Deno.serve({ port: 0, hostname: '127.0.0.1', onListen: () => {} }, answer);
const response = await fetch(`http://127.0.0.1:${server.addr.port}/`);
const body = await response.text();
await new Promise((resolve) => setTimeout(resolve, 500));
console.log(`body "${body}", aborted ${aborts} time(s)`);
await server.shutdown();
JS
run() { DENO_DIR="$work/deno" ./node_modules/.bin/deno run --quiet --allow-net "$@" serve.mjs 2>>run.log; }
usual=$(run)
echo "default: $usual"
new=$(run --unstable-no-legacy-abort)
echo "--unstable-no-legacy-abort: $new"
[[ $usual == 'body "whole", aborted 1 time(s)' && $new == 'body "whole", aborted 0 time(s)' ]] || { echo "it has changed"; exit 1; }
