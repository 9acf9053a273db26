/** `oxbus/nestjs` in applications of Nest 11 and 12: the programs of `fixtures/nest`, compiled as those of a service. */

import { ClusterSet } from './support/cluster-set';
import { casesOf, guide, NestProject, VERSIONS } from './support/nest';
import { RedisServer } from './support/redis-server';

const LIMIT = 120_000;
/** Of an application with twenty modules, over a backlog. */
const STARTS = process.env.OXBUS_SOAK === undefined ? 4 : 50;

let [server, cluster]: [RedisServer, ClusterSet] = [] as never;

beforeAll(async () => {
  [server, cluster] = await Promise.all([RedisServer.start(), ClusterSet.start()]);
}, LIMIT);

afterAll(() => Promise.all([server?.stop(), cluster?.stop()]));

describe.each(VERSIONS)('%s', (version) => {
  const outcomes = new Map<string, string | undefined>();
  let project: NestProject;
  let rest = '';

  beforeAll(async () => {
    project = await NestProject.of(version);
    const env = { REDIS_URL: server.url, REDIS_CLUSTER: cluster.addresses.join() };
    const { out, err } = await project.run(['build/main.js'], { limit: LIMIT, env });
    for (const line of out.split('\n')) {
      if (!line.startsWith('{"name":')) rest += line;
      else {
        const { name, error } = JSON.parse(line);
        outcomes.set(name, error);
      }
    }
    rest += err;
  }, 2 * LIMIT);

  afterAll(() => project.remove());

  for (const program of [
    'cluster.ts',
    'handlers.ts',
    'hybrid.ts',
    'life.ts',
    'messages.ts',
    'microservices.ts',
    'module.ts',
    'transport.ts',
  ]) {
    test.each(casesOf(program))('%s', (name) => {
      expect([...outcomes.keys()]).toContain(name);
      expect(outcomes.get(name)).toBeUndefined();
    });
  }

  test.each(guide)(
    '$name',
    async ({ name, output }) => {
      const env = { REDIS_URL: server.url };
      const ended = await project.run([`build/${name}.js`], { limit: LIMIT, env });
      expect(ended).toMatchObject({ code: 0, err: '', out: output });
    },
    LIMIT,
  );

  test(
    `twenty modules, started ${STARTS} times over a backlog: every handler gets every event`,
    async () => {
      const env = { REDIS_URL: server.url };
      const args = ['build/startup.js', String(STARTS), '20'];
      const { code, out, err } = await project.run(args, { limit: LIMIT, env });
      expect([code, err]).toEqual([0, '']);
      expect(JSON.parse(out)).toEqual({
        starts: STARTS,
        ended: Math.ceil((STARTS - 1) / 2),
        handlers: 40,
        published: 100 * STARTS,
        letters: 0,
        misses: 0,
      });
    },
    LIMIT,
  );

  test(
    'enableShutdownHooks: handlers end, then what they use, then the client',
    async () => {
      const env = { REDIS_URL: server.url };
      const ended = await project.run(['build/signal.js'], { limit: LIMIT, env });
      const out = 'handled\ndatabase closed\nbus closed\n';
      expect(ended).toMatchObject({ signal: 'SIGTERM', err: '', out });
    },
    LIMIT,
  );

  test('the programs have said nothing else', () => expect(rest).toBe(''));
});
