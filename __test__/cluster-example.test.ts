/** The files of examples/cluster, with servers of this machine in the place of containers. */

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EventBusClient } from '..';
import { nodePort } from './support/cluster-set';
import { eventually } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { run } from './support/scripts';

const FOLDER = join(__dirname, '..', 'examples', 'cluster');
const compose = readFileSync(join(FOLDER, 'compose.yaml'), 'utf8');

/** The example is for Redis 7.4; a server before 7 knows no names of nodes, and gets what is left without them. */
const knowsNames = (() => {
  const { stdout } = spawnSync('redis-server', ['--version'], { encoding: 'utf8' });
  return Number(/v=(\d+)/.exec(stdout)?.[1]) >= 7;
})();

/** The configuration, as a file in a folder. */
function configurationIn(folder: string): string {
  const lines = readFileSync(join(FOLDER, 'redis.conf'), 'utf8').split('\n');
  const known = lines.filter((line) => knowsNames || !line.startsWith('cluster-preferred-'));
  const file = join(folder, 'redis.conf');
  writeFileSync(file, known.join('\n'));
  return file;
}

/** What the command of a node gives `redis-server`, as it does in the file. */
function argumentsOf(name: string, folder: string): string[] {
  const [, line = ''] = /exec redis-server \/etc\/redis\.conf (.*)'\]/.exec(compose) ?? [];
  return line
    .replace(knowsNames ? '' : /--cluster-announce-hostname \S+/, '')
    .trim()
    .split(' ')
    .map((word) => (word === '"$${HOSTNAME}"' ? name : word === '/data' ? folder : word));
}

test('the nodes of the example make a Cluster, which a client on the host uses by the address map', async () => {
  const names = [...compose.matchAll(/^ {4}hostname: (\S+)$/gm)].map(([, name = '']) => name);
  expect(names).toEqual(['redis-1', 'redis-2', 'redis-3', 'redis-4', 'redis-5', 'redis-6']);
  const servers: RedisServer[] = [];
  try {
    for (const name of names) {
      const port = await nodePort();
      const server = RedisServer.of(port, (folder) => [
        configurationIn(folder),
        ...argumentsOf(name, folder),
        ...['--port', String(port), '--bind', '127.0.0.1'],
      ]);
      servers.push(server);
      await server.restart();
    }
    const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
    const created = await run('sh', [join(FOLDER, 'create.sh'), ...addresses], {
      ...{ limit: 45_000, env: { REDISCLI_AUTH: 'secret' } },
    });
    expect(created).toMatchObject({ code: 0 });
    // It does nothing to what is a Cluster already.
    const again = await run('sh', [join(FOLDER, 'create.sh'), ...addresses], {
      env: { REDISCLI_AUTH: 'secret' },
    });
    expect(again).toMatchObject({ code: 0, out: '' });

    const map = names.map((name, at) => [
      `${knowsNames ? name : '127.0.0.1'}:${servers[at]?.port}`,
      addresses[at] as string,
    ]);
    await using bus = new EventBusClient({
      ...{ serviceName: 'host', logger: false },
      redis: {
        password: 'secret',
        cluster: { nodes: addresses.slice(0, 1), addressMap: Object.fromEntries(map) },
      },
      streams: ['orders', 'payments', 'users'].map((name) => ({ name, events: `${name}.*` })),
    });
    await bus.connect();
    const handled = new Set<unknown>();
    for (const name of ['orders', 'payments', 'users']) {
      await bus.subscribe(`${name}.*`, ({ data }) => void handled.add(data), { group: 'all' });
      // The replicas copy their masters first, and confirm nothing until then.
      await eventually(() => bus.publish(`${name}.made`, name, { replicas: 1 }), 30_000);
    }
    await eventually(() => handled.size === 3);
    await eventually(async () => {
      const { redis } = await bus.healthCheck();
      const nodes = redis?.cluster?.nodes.map(({ address }) => address).sort();
      expect(nodes).toEqual([...addresses].sort());
    }, 30_000);
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}, 90_000);

test('the address map in the comment of the example leads to the ports that the nodes publish', () => {
  const mapped = [...compose.matchAll(/^# {8,}'(redis-\d):6379': '(localhost:\d+)',$/gm)];
  const published = [
    ...compose.matchAll(/hostname: (redis-\d)\n {4}ports: \['127\.0\.0\.1:(\d+):6379'\]/g),
  ];
  expect(mapped.map(([, name, address]) => [name, address])).toEqual(
    published.map(([, name, port]) => [name, `localhost:${port}`]),
  );
  expect(mapped).toHaveLength(6);
});
