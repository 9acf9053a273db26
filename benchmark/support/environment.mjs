import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { RUNTIME, versionOf } from './runtimes.mjs';

const packages = ['ioredis', 'redis', '@valkey/valkey-glide', 'bullmq'];

/** What the figures depend on, and what they must be quoted with. */
export function environment(server) {
  const manifest = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
  const versions = packages.map((name) => [
    name,
    manifest(`../../node_modules/${name}/package.json`).version,
  ]);
  return {
    oxbus: manifest('../../package.json').version,
    ...Object.fromEntries(versions),
    runtime: versionOf(RUNTIME),
    redisServer: server.version,
    system: `${process.platform} ${process.arch}`,
    processor: `${cpus().length} × ${cpus()[0]?.model.trim()}`,
    date: new Date().toISOString().slice(0, 10),
  };
}
