/** What npm would publish: packed, installed in an empty project, required, imported and compiled. */

import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fault, links } from './support/links';
import { type Ended, run, runNode } from './support/scripts';

const ROOT = join(__dirname, '..');
const LIMIT = 60_000;
const clean = { code: 0, signal: null, err: '' };

const folder = mkdtempSync(join(tmpdir(), 'oxbus-packaging-'));
const project = join(folder, 'project');
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
/** `linux-x64-gnu`, … */
let platform: string;
let packed: { name: string; filename: string; files: { path: string }[] };

const write = (name: string, content: string | object) =>
  writeFileSync(
    join(project, name),
    typeof content === 'string' ? content : JSON.stringify(content),
  );

function succeeded(ended: Ended): Ended {
  if (ended.code !== 0) throw new Error(`exit code ${ended.code}\n${ended.out}\n${ended.err}`);
  return ended;
}

async function pack(cwd: string): Promise<typeof packed> {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  const [answer] = JSON.parse(succeeded(await run('npm', args, { cwd, limit: LIMIT })).out);
  return answer;
}

beforeAll(async () => {
  const binary = readdirSync(ROOT).find((name) => name.endsWith('.node'));
  if (binary === undefined) throw new Error('the addon is not built');
  platform = binary.split('.')[1]!;
  const source = join(folder, platform);
  cpSync(join(ROOT, 'npm', platform), source, { recursive: true });
  copyFileSync(join(ROOT, binary), join(source, binary));
  const addon = await pack(source);
  packed = await pack(ROOT);
  mkdirSync(project);
  const dependencies = Object.fromEntries(
    [packed, addon].map(({ name, filename }) => [name, `file:../${filename}`]),
  );
  write('package.json', { name: 'empty-project', version: '1.0.0', private: true, dependencies });
  const install = ['install', '--offline', '--no-audit', '--no-fund', '--ignore-scripts'];
  succeeded(await run('npm', install, { cwd: project, limit: LIMIT }));
}, 2 * LIMIT);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the package holds what it needs and nothing else', () => {
  const files = packed.files.map(({ path }) => path);
  expect(files).toEqual(expect.arrayContaining(['index.js', 'index.d.ts', 'native.js', 'LICENSE']));
  const all = readdirSync(join(ROOT, 'ts'), { recursive: true, encoding: 'utf8' });
  const sources = all
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => name.replaceAll('\\', '/'));
  const compiled = files.filter((path) => path.startsWith('dist/'));
  expect(compiled.sort()).toEqual(
    sources.map((name) => `dist/${name.replace('.ts', '.js')}`).sort(),
  );
  const others = files.filter(
    (path) =>
      !/^(dist|compat|docs|examples|benchmark)\//.test(path) && !/^[A-Z]+(\.md)?$/.test(path),
  );
  expect(others.sort()).toEqual(
    [
      'cli.js',
      'http.d.ts',
      'http.js',
      'index.d.ts',
      'index.js',
      'jest.d.ts',
      'jest.js',
      'native.d.ts',
      'native.js',
      'nestjs.d.ts',
      'nestjs.js',
      'otel.d.ts',
      'otel.js',
      'package.json',
      'socket.io.d.ts',
      'socket.io.js',
      'testing.d.ts',
      'testing.js',
      'vitest.d.mts',
      'vitest.mjs',
    ].sort(),
  );
});

/** The name that its links and issues are under; the packages of the addon name it, too. */
const ADDRESS = 'https://github.com/oxbus/oxbus';

test('the manifests name the repository', () => {
  expect(manifest).toMatchObject({
    homepage: `${ADDRESS}#readme`,
    bugs: { url: `${ADDRESS}/issues` },
    repository: { type: 'git', url: `git+${ADDRESS}.git` },
  });
  for (const system of readdirSync(join(ROOT, 'npm'))) {
    const { repository } = JSON.parse(
      readFileSync(join(ROOT, 'npm', system, 'package.json'), 'utf8'),
    );
    expect(repository).toEqual(manifest.repository);
  }
});

test('the links of the packed pages lead somewhere in the package', () => {
  const packedPages = packed.files.map(({ path }) => path).filter((path) => path.endsWith('.md'));
  expect(packedPages).toEqual(expect.arrayContaining(['README.md', 'docs/errors.md']));
  const root = join(project, 'node_modules', 'oxbus');
  const all = packedPages.flatMap((page) => links(root, page));
  expect(all.length).toBeGreaterThan(20);
  expect(all.map((link) => fault(root, link)).filter((text) => text !== undefined)).toEqual([]);
});

test(
  'pack:local makes one file that installs where nothing else is',
  async () => {
    const place = join(folder, 'local');
    const { out } = succeeded(
      await runNode([join(ROOT, 'scripts', 'pack-local.mjs'), place], { limit: LIMIT }),
    );
    const file = out.trim().split('\n').at(-1)!;
    expect(file).toBe(join(place, `oxbus-${manifest.version}-${platform}.tgz`));
    expect(readdirSync(place)).toHaveLength(1);
    const empty = join(folder, 'empty');
    mkdirSync(empty);
    for (const name of ['main.mjs', 'smoke.mjs']) {
      copyFileSync(join(ROOT, 'fixtures', name), join(empty, name));
    }
    const install = ['install', '--offline', '--no-audit', '--no-fund', file];
    succeeded(await run('npm', install, { cwd: empty, limit: LIMIT }));
    const modules = readdirSync(join(empty, 'node_modules'));
    expect(modules.filter((name) => !name.startsWith('.'))).toEqual(['oxbus']);
    const installed = join(empty, 'node_modules', 'oxbus', 'package.json');
    const local = JSON.parse(readFileSync(installed, 'utf8'));
    const { os, cpu } = JSON.parse(
      readFileSync(join(ROOT, 'npm', platform, 'package.json'), 'utf8'),
    );
    expect(local).toMatchObject({ os, cpu });
    const ended = await runNode(['main.mjs'], { cwd: empty, env: { REDIS_URL: undefined } });
    expect(ended).toMatchObject({ ...clean, out: 'smoke passed: memory\n' });
  },
  3 * LIMIT,
);

test('nothing has to be installed at run time beside it', () => {
  expect(manifest.dependencies).toBeUndefined();
  expect(
    readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.')),
  ).toEqual(['oxbus', `oxbus-${platform}`].sort());
});

test('the command line is a program of the package', async () => {
  const program = join(project, 'node_modules', '.bin', 'oxbus');
  const version = `${manifest.version}\n`;
  expect(await run(program, ['--version'], { cwd: project })).toMatchObject({
    ...clean,
    out: version,
  });
});

const use = `
  const bus = new EventBusClient({ mode: 'memory', logLevel: 'error' });
  bus.subscribe('a', async (event) => {
    console.log(event.data, bus.serviceName, escapePattern('*'), new EventBusError('ERR_BUS_CLOSED', 'x').code);
    bus.disconnect();
  }).then(() => bus.publish('a', 1));`;
const shown = '1 empty-project \\* ERR_BUS_CLOSED\n';

test.each([
  ['use.cjs', `const { EventBusClient, EventBusError, escapePattern } = require('oxbus'); ${use}`],
  ['use.mjs', `import { EventBusClient, EventBusError, escapePattern } from 'oxbus'; ${use}`],
  [
    'namespace.mjs',
    `import * as all from 'oxbus'; const { EventBusClient, EventBusError, escapePattern } = all; ${use}`,
  ],
  [
    'default.mjs',
    `import all from 'oxbus'; const { EventBusClient, EventBusError, escapePattern } = all; ${use}`,
  ],
])('%s runs', async (name, code) => {
  write(name, code);
  const ended = await runNode([name], { cwd: project, env: { SERVICE_NAME: undefined } });
  expect(ended).toMatchObject({ ...clean, out: shown });
});

test.each([
  ['testing.cjs', `const { createTestBus } = require('oxbus/testing');`],
  ['testing.mjs', `import { createTestBus } from 'oxbus/testing';`],
])('%s runs', async (name, code) => {
  const test = `const bus = createTestBus();
    bus.subscribe('a', (event) => console.log(event.data))
      .then(() => bus.publish('a', 1))
      .then(() => bus.advance(60_000))
      .then(() => bus.disconnect());`;
  write(name, `${code} ${test}`);
  expect(await runNode([name], { cwd: project })).toMatchObject({ ...clean, out: '1\n' });
});

test('oxbus/socket.io can be used where Socket.IO is not installed, and says what is missing', async () => {
  const made = `new EventBusClient({ mode: 'socket.io', logLevel: 'silent', socketIO: { url: 'http://x' } })`;
  write(
    'socketio.cjs',
    `const { EventBusClient } = require('oxbus');
    const tell = ({ code, message }) => console.log(code, message);
    try { ${made} } catch (error) { tell(error); }
    const { attachSocketIO, createHub } = require('oxbus/socket.io');
    console.log(typeof attachSocketIO, typeof createHub);
    ${made}.connect().catch(tell);`,
  );
  expect(await runNode(['socketio.cjs'], { cwd: project })).toMatchObject({
    ...clean,
    out:
      "ERR_BUS_INVALID_CONFIG mode: the client of a hub comes with its entry: import 'oxbus/socket.io' first\n" +
      'function function\n' +
      "ERR_BUS_INVALID_CONFIG mode: mode 'socket.io' needs the package socket.io-client 4\n",
  });
});

const ADAPTERS = ['campaign', 'photo', 'platform', 'spine', 'eventsource'];

test('the adapters of older buses are entries, which nobody pays for who does not import them', async () => {
  const inside = packed.files.flatMap(({ path }) => (path.startsWith('compat/') ? [path] : []));
  expect(inside.sort()).toEqual(
    ADAPTERS.flatMap((name) => [`compat/${name}.d.ts`, `compat/${name}.js`]).sort(),
  );
  const loaded = `Object.keys(require.cache).filter((path) => path.includes('compat')).length`;
  const each = ADAPTERS.map((name) => `require('oxbus/compat/${name}');`).join(' ');
  write(
    'adapters.cjs',
    `require('oxbus'); console.log(${loaded}); ${each} console.log(${loaded});`,
  );
  const required = await runNode(['adapters.cjs'], { cwd: project });
  // Beside the entries there are their sources, and three files that these share.
  expect(required).toMatchObject({ ...clean, out: `0\n${2 * ADAPTERS.length + 3}\n` });
  const imports = `
    import { RedisEventBus, EventPublisher } from 'oxbus/compat/campaign';
    import { EventBusClient, EventValidator } from 'oxbus/compat/photo';
    import { eventBusManager } from 'oxbus/compat/platform';
    import { RedisEventBus as Spine } from 'oxbus/compat/spine';
    import { DomainEvent, defineEvent } from 'oxbus/compat/eventsource';
    console.log([RedisEventBus, EventPublisher, EventBusClient, EventValidator, Spine, DomainEvent, defineEvent]
      .every((one) => typeof one === 'function'), typeof eventBusManager);`;
  write('adapters.mjs', imports);
  const ended = await runNode(['adapters.mjs'], { cwd: project });
  expect(ended).toMatchObject({ ...clean, out: 'true object\n' });
});

test('the addon comes from the platform package', async () => {
  write('where.cjs', `require('oxbus'); console.log(Object.keys(require.cache).join(' '));`);
  const { out } = await runNode(['where.cjs'], { cwd: project });
  expect(out).toContain(join('node_modules', `oxbus-${platform}`, `oxbus.${platform}.node`));
});

test('what is not exported cannot be reached', async () => {
  write('deep.cjs', `require('oxbus/dist/client/core.js');`);
  expect((await runNode(['deep.cjs'], { cwd: project })).err).toContain(
    'ERR_PACKAGE_PATH_NOT_EXPORTED',
  );
});

describe('types', () => {
  const program = `
    import { EventBusClient, type EventBusConfig, EventBusError, type Subscription } from 'oxbus';
    import { createHttpHandler, type HttpHandler } from 'oxbus/http';
    import { OnEvent, OxbusModule, type OxbusModuleDefinition } from 'oxbus/nestjs';
    import { createHub, type SocketIOHub, type SocketIOTarget } from 'oxbus/socket.io';
    import { createTestBus, type TestBus } from 'oxbus/testing';
    export function serve(bus: EventBusClient, io: SocketIOTarget): [HttpHandler, SocketIOHub] {
      const authorize = ({ auth }: { auth: Record<string, unknown> }) => auth['token'] === 'secret';
      return [createHttpHandler(bus), createHub(io, bus, { authorize })];
    }
    export const handles: MethodDecorator = OnEvent('photo.*', { group: 'thumbs' });
    export const nest: OxbusModuleDefinition = OxbusModule.forRoot({ mode: 'memory' });
    type Events = { 'photo.uploaded': { photoId: string }; 'photo.deleted': { by: number } };
    const config: EventBusConfig = { mode: 'memory', logger: console };
    export async function run(): Promise<number> {
      const bus = new EventBusClient<Events>(config);
      const subscription: Subscription = await bus.subscribe('photo.*', (event, ctx) => {
        if (event.type === 'photo.uploaded') event.data.photoId.toUpperCase();
        else event.data.by.toFixed(ctx.attempt);
      });
      try {
        await bus.publish('photo.uploaded', { photoId: '1' }, { timeout: 10 });
        // @ts-expect-error the data of another type
        await bus.publish('photo.uploaded', { by: 1 });
      } catch (error) {
        if (error instanceof EventBusError && error.outcome === 'unknown') throw error;
      }
      const test: TestBus<Events> = createTestBus<Events>(config);
      await test.advance(test.published('photo.deleted')[0]?.data.by ?? 0);
      for await (const event of bus.events('photo.deleted')) return event.data.by;
      await subscription.unsubscribe();
      return bus.getStats().eventsPublished + bus.subscriberCount('photo.*');
    }`;
  const types = join(ROOT, 'node_modules', '@types');
  const node = { lib: ['es2022'], types: ['node'], typeRoots: [types] };
  const browserless = { lib: ['es2022', 'dom'], types: [] };

  test.each<[string, object, string[]]>([
    ['node16', { module: 'node16', moduleResolution: 'node16', ...node }, ['.cts', '.mts', '.ts']],
    ['bundler', { module: 'esnext', moduleResolution: 'bundler', ...node }, ['.mts', '.ts']],
    ['node16, no @types/node', { module: 'node16', ...browserless }, ['.cts', '.mts']],
    ['preserve', { module: 'preserve', moduleResolution: 'bundler', ...node }, ['.ts']],
  ])('moduleResolution %s', async (name, options, extensions) => {
    const base = name.replace(/\W+/g, '-');
    const files = extensions.map((extension) => `${base}${extension}`);
    for (const file of files) write(file, program);
    const compilerOptions = { ...options, target: 'es2022', strict: true, noEmit: true };
    write(`${base}.json`, { compilerOptions, files });
    const tsc = join(ROOT, 'node_modules', '.bin', 'tsc');
    const ended = await run(tsc, ['-p', `${base}.json`], { cwd: project, limit: LIMIT });
    expect(ended).toMatchObject({ code: 0, out: '' });
  });
});
