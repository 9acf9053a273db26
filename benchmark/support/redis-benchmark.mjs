import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ensureRedisServer } from '../../scripts/redis.mjs';

/** The rate at which the server takes a command from a program in C. */
export function redisBenchmark(server, command, { count, pipeline, clients }) {
  const program = join(dirname(ensureRedisServer()), 'redis-benchmark');
  if (!existsSync(program)) throw new Error('redis-benchmark is not installed');
  const args = ['-p', server.port, '-c', clients, '-n', count, '-P', pipeline, '-q'];
  const { stdout } = spawnSync(program, [...args, ...command].map(String), {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const rates = [...stdout.matchAll(/([\d.]+) requests per second/g)];
  if (rates.length === 0) throw new Error(`redis-benchmark: ${stdout.slice(0, 200)}`);
  return { rate: Number(rates.at(-1)[1]) };
}
