import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { RUNTIME } from './runtimes.mjs';

const LIMIT_MS = 120_000;

/**
 * Starts a module of this folder as a process. `next(kind)` resolves to its next message of that
 * kind and rejects when it fails, ends or is silent for too long; `each(kind, listener)` is for
 * messages that come more than once.
 */
export function startProcess(
  module,
  args = [],
  { runtime = process.execPath, execArgv = [] } = {},
) {
  const child = fork(fileURLToPath(new URL(module, import.meta.url)), args.map(String), {
    execPath: runtime,
    execArgv,
    // The output of a contestant is not part of our table; its errors are shown.
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const waiting = new Map();
  const arrived = new Map();
  const listeners = new Map();
  let failure;
  const fail = (message) => {
    failure ??= new Error(message);
    for (const { reject } of waiting.values()) reject(failure);
    waiting.clear();
  };
  child.on('message', (message) => {
    if (message.kind === 'failed') return fail(message.message);
    const listener = listeners.get(message.kind);
    if (listener) return listener(message);
    const waiter = waiting.get(message.kind);
    if (!waiter) return arrived.set(message.kind, message);
    waiting.delete(message.kind);
    waiter.resolve(message);
  });
  child.on('exit', (code, signal) => fail(`${module} ended with ${signal ?? code}`));
  return {
    send: (message) => child.send(message),
    each: (kind, listener) => listeners.set(kind, listener),
    async next(kind, limitMs = LIMIT_MS) {
      const message = arrived.get(kind);
      if (message) {
        arrived.delete(kind);
        return message;
      }
      if (failure) throw failure;
      let limit;
      try {
        return await new Promise((resolve, reject) => {
          waiting.set(kind, { resolve, reject });
          limit = setTimeout(() => fail(`${module}: no '${kind}' for ${limitMs} ms`), limitMs);
        });
      } finally {
        clearTimeout(limit);
      }
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Starts a process for one contestant (child.mjs), as `startProcess` does, on the runtime that contestants have. */
export const startContestant = ({ runtime = RUNTIME, execArgv } = {}) =>
  startProcess('./child.mjs', [], { runtime, execArgv });
