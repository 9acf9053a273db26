#!/usr/bin/env bash
# npm, @opentelemetry/api 1.10.0 with @opentelemetry/sdk-trace-base 2.12.1 (both the newest on 2026-11-28): they cannot be installed together.
#
# Expected: the API is built to be the one package that everything shares. It promises that a newer minor version serves
#   whatever asks for an older one, so the newest API goes with every SDK.
# Happens: the SDK's peer range is ">=1.3.0 <1.10.0", and "npm install" of both by name ends with ERESOLVE. With API 1.9.1 it works.
#   Installed with --legacy-peer-deps, the two work together: spans are recorded.
# Matters: a library with "@opentelemetry/api": "^1.9.0" as a peer is right, and its users' fresh installs still fail. Say in your own
#   peer range and guide which API the SDKs of the day accept, and pin it in CI.
#
# Needs bash, node 20 or newer with npm; about 10 s. Seen on 2026-11-28:
#   api 1.10.0: ERESOLVE
#   api 1.9.1: installed, spans recorded: 1
#   api 1.10.0 with --legacy-peer-deps: spans recorded: 1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# try NAME API OPTION...: installs both in a folder of their own.
try() {
  local name=$1 api=$2
  shift 2
  mkdir "$work/$name"
  cd "$work/$name"
  npm init -y >init.log
  npm install --no-audit --no-fund "$@" "@opentelemetry/api@$api" @opentelemetry/sdk-trace-base@2.12.1 >install.log 2>&1
}
spans() {
  node -e '
    const { trace } = require("@opentelemetry/api");
    const sdk = require("@opentelemetry/sdk-trace-base");
    const exporter = new sdk.InMemorySpanExporter();
    const provider = new sdk.BasicTracerProvider({ spanProcessors: [new sdk.SimpleSpanProcessor(exporter)] });
    trace.setGlobalTracerProvider(provider);
    trace.getTracer("t").startSpan("s").end();
    console.log(`spans recorded: ${exporter.getFinishedSpans().length}`);'
}

if try newest 1.10.0; then seen="installed"; else seen=$(grep -o -m1 ERESOLVE install.log); fi
echo "api 1.10.0: $seen"
try older 1.9.1
older=$(spans)
echo "api 1.9.1: installed, $older"
try forced 1.10.0 --legacy-peer-deps
forced=$(spans)
echo "api 1.10.0 with --legacy-peer-deps: $forced"
[[ $seen == ERESOLVE && $older == "spans recorded: 1" && $forced == "spans recorded: 1" ]] || { echo "it has changed"; exit 1; }
