import { withRedis } from './backlog.mjs';

/** The processor time of servers so far, in microseconds, all of them together. */
export async function serverCpu(servers) {
  const times = await Promise.all(
    servers.map((server) => withRedis(server, (client) => client.info('cpu'))),
  );
  return times
    .flatMap((text) => [...text.matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm)])
    .reduce((sum, [, seconds]) => sum + Number(seconds) * 1e6, 0);
}
