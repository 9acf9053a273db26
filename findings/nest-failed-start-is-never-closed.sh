#!/usr/bin/env bash
# NestJS 11.2.10 (@nestjs/core, from npm): an application whose start has failed cannot be closed.
#
# Expected: `await app.init()` rejects because one provider's hook has failed. `await app.close()` then runs the shutdown hooks
#   of the others, which have opened connections in `onModuleInit`, as it does for an application that has started.
# Happens: `close()` rejects with the error of the start, and no hook is called. What was opened stays open and keeps the
#   process alive. NestJS 12.5.1 closes it.
# Matters: a library that opens a connection before a later hook may fail has to close it in its own hook, in a `catch`; a
#   test that closes an application in `afterEach` reports the error of the start a second time.
#
# Needs bash, node 20.19 or newer and npm. Seen on 2026-11-29:
#   nest 11.2.10: init rejects (no such stream), close rejects (no such stream), hooks: []
#   nest 12.5.1: init rejects (no such stream), close resolves, hooks: [connection closed]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/program.cjs" <<'JS'
require('reflect-metadata');
const { Module } = require('@nestjs/common');
const { Test } = require('@nestjs/testing');
const { version } = require('@nestjs/core/package.json');

const hooks = [];
class Connection {
  onModuleInit() {}
  onApplicationShutdown() {
    hooks.push('connection closed');
  }
}
class Subscriber {
  onApplicationBootstrap() {
    throw new Error('no such stream');
  }
}
class AppModule {}
Module({ providers: [Connection, Subscriber] })(AppModule);

const told = (promise) => promise.then(() => 'resolves', ({ message }) => `rejects (${message})`);

(async () => {
  const app = await Test.createTestingModule({ imports: [AppModule] }).compile();
  const init = await told(app.init());
  const close = await told(app.close());
  console.log(`nest ${version}: init ${init}, close ${close}, hooks: [${hooks}]`);
})();
JS

seen() {
  local folder=$work/$1
  mkdir "$folder"
  cp "$work/program.cjs" "$folder"
  (
    cd "$folder"
    echo '{}' > package.json
    npm install --no-audit --no-fund --loglevel=error --ignore-scripts "@nestjs/common@$1" "@nestjs/core@$1" \
      "@nestjs/testing@$2" reflect-metadata@0.2.2 rxjs@7.8.2 > /dev/null
    node program.cjs
  )
}

eleven=$(seen 11.2.10 11.2.6)
twelve=$(seen 12.5.1 12.1.1)
printf '%s\n' "$eleven" "$twelve"
test "$eleven" = 'nest 11.2.10: init rejects (no such stream), close rejects (no such stream), hooks: []'
test "$twelve" = 'nest 12.5.1: init rejects (no such stream), close resolves, hooks: [connection closed]'
