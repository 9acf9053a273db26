// `npm run test:types`: compiles the programs that use every part of the contract with several versions of TypeScript, strict
// settings, resolutions of modules, with and without the types of Node.js and of browsers. Prints a table for docs/types.md.
// `-- --part`: the combinations that find most, within seconds.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { root, run } from './prepare.mjs';

const fixtures = join(root, 'fixtures', 'types', 'node_modules');
const compilers = [
  ['5.2', join(fixtures, 'typescript-5.2')],
  ['5.9', join(fixtures, 'typescript-5.9')],
  ['7.0', join(root, 'node_modules', 'typescript')],
];
const settings = {
  strict: {},
  'exactOptionalPropertyTypes and others': {
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: true,
    noImplicitOverride: true,
    verbatimModuleSyntax: false,
    isolatedModules: true,
  },
};
const resolutions = {
  nodenext: { module: 'nodenext', moduleResolution: 'nodenext' },
  bundler: { module: 'esnext', moduleResolution: 'bundler' },
};
const ES = ['es2022', 'esnext.disposable'];
const surroundings = {
  '@types/node': { lib: ES, types: ['node'] },
  'DOM and @types/node': { lib: [...ES, 'dom'], types: ['node'] },
  DOM: { lib: [...ES, 'dom'], types: [] },
};

/** What nobody but our own tests writes, such as indexes into arrays without a look, is left to `strict`. */
const PROGRAMS = ['event-maps.test-d.ts', 'compat/types.test-d.ts', 'types.test-d.ts'];
const COMPATIBLE = `
import { EventBusClient, type EventBusConfig, EventBusError, type RedisConfig, type SubscribeOptions } from 'oxbus';
import { createHttpHandler, type HttpHandlerOptions } from 'oxbus/http';
import { attachSocketIO, createHub, type HubOptions, type SocketIOHub, type SocketIORoute, type SocketIOTarget } from 'oxbus/socket.io';
import { createTestBus } from 'oxbus/testing';
type Events = { 'photo.uploaded': { photoId: string; at: Date }; 'photo.deleted': { photoId: string }; ping: void };
declare const url: string | undefined;
declare const timeout: number | undefined;
const redis: RedisConfig = { url, password: url, commandTimeout: timeout, tls: undefined };
const config: EventBusConfig = { redis: url, serviceName: url, lease: timeout, logger: console };
export const bus = new EventBusClient<Events>({ ...config, redis });
const http: HttpHandlerOptions = { basePath: url, authorize: (request, action) => action.name === 'stream' && request.headers.has('cookie') };
export const GET: (request: Request) => Promise<Response> = createHttpHandler(bus, http).fetch;
declare const io: SocketIOTarget;
const routes: SocketIORoute[] = [{ on: ['photo.*'], to: 'photo:{data.photoId}', emit: 'photo', volatile: undefined }];
export const bridge = attachSocketIO(bus, io, routes, { group: url, rooms: { authorize: (socket, room) => socket.rooms.has(room), maxRooms: timeout } });
// @ts-expect-error a route has the name of what is emitted
attachSocketIO(bus, io, [{ on: 'photo.*', to: 'all' }]);
const hubOptions: HubOptions = {
  maxClients: timeout,
  async authorize({ auth }, action) {
    if (action.name === 'connect') return auth['token'] === url && { expires: new Date() };
    // @ts-expect-error only a publish has options
    if (action.name === 'subscribe') return { options: action.options };
    return action.name === 'publish' ? { options: action.options } : undefined;
  },
};
export const hub: SocketIOHub = createHub(io, bus, hubOptions);
export const service = new EventBusClient<Events>({ mode: 'socket.io', socketIO: { url: 'https://hub', auth: async () => ({ token: url }), transports: ['websocket'] } });
const options: SubscribeOptions = { timeout, concurrency: timeout, retry: { initialDelay: timeout } };
export async function use(signal: AbortSignal | undefined): Promise<void> {
  await bus.connect({ timeout, signal });
  await bus.publish('photo.uploaded', { photoId: '1', at: new Date() }, { key: url, timeout, signal });
  await bus.publish('ping');
  await bus.subscribe('photo.*', (event, ctx) => {
    ctx.signal.throwIfAborted();
    if (event.type === 'photo.uploaded') event.data.at.trim();
    else event.data.photoId.trim();
  }, options);
  // @ts-expect-error a group that is undefined is refused
  await bus.subscribe('photo.*', () => {}, { group: url as string | undefined, timeout: 'soon' });
  // @ts-expect-error no such type
  await bus.subscribe('photo.renamed', () => {});
  await using test = createTestBus<Events>(config);
  for (const { data } of test.published('photo.deleted')) data.photoId.trim();
  for await (const { data } of bus.events('photo.deleted', { signal })) data.photoId.trim();
  try {
    await bus.disconnect({ timeout });
  } catch (error) {
    if (error instanceof EventBusError && error.outcome === 'unknown') throw error;
  }
}
`;

/** Only with the types of Node.js, which those of Nest need. */
const NEST = `
import type { EventBusClient, EventBusConfig } from 'oxbus';
import { OnEvent, type OnEventOptions, OxbusClient, OxbusModule, type OxbusModuleDefinition, type OxbusServerOptions } from 'oxbus/nestjs';
declare const bus: EventBusClient;
declare const url: string | undefined;
declare const timeout: number | undefined;
const onEvent: OnEventOptions = { group: 'billing', bus: url, timeout };
export const decorated: MethodDecorator = OnEvent('photo.*', onEvent);
export const nest: OxbusModuleDefinition = OxbusModule.forRootAsync({ inject: ['x'], useFactory: async (x: EventBusConfig) => ({ ...x }), drainTimeout: timeout });
// @ts-expect-error a module has a client, or a configuration
OxbusModule.forRoot('redis://localhost');
export const server: OxbusServerOptions = { bus, events: { timeout }, messages: undefined };
export const client: EventBusClient = new OxbusClient({ bus, timeout }).unwrap();
`;

function combinations(part) {
  const all = [];
  for (const [version, compiler] of compilers) {
    for (const setting of Object.keys(settings)) {
      for (const resolution of Object.keys(resolutions)) {
        for (const surrounding of Object.keys(surroundings)) {
          all.push({ version, compiler, setting, resolution, surrounding });
        }
      }
    }
  }
  const [, strictest] = Object.keys(settings);
  const chosen = ({ setting, resolution, surrounding }) =>
    setting === strictest && (resolution === 'nodenext') === (surrounding === '@types/node');
  return part ? all.filter((one) => chosen(one) && one.surrounding !== 'DOM and @types/node') : all;
}

function project(folder) {
  const links = ['@types/node', 'undici-types'].map((name) => [
    name,
    join(root, 'node_modules', name),
  ]);
  for (const [name, target] of [...links, ['oxbus', root]]) {
    const link = join(folder, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(target, link);
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'compatible.ts'), COMPATIBLE);
  writeFileSync(join(folder, 'nest.ts'), NEST);
  for (const name of PROGRAMS) {
    const text = readFileSync(join(root, '__test__', name), 'utf8');
    const imported = text
      .replace(/from '\.\.(?:\/\.\.)?'/, "from 'oxbus'")
      .replaceAll(/'(?:\.\.\/)+(testing|compat\/\w+)'/g, "'oxbus/$1'");
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), imported);
  }
}

/** What the compiler says; nothing when all is well. */
function compile(folder, { compiler, setting, resolution, surrounding }) {
  const compilerOptions = {
    target: 'es2022',
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    ...settings[setting],
    ...resolutions[resolution],
    ...surroundings[surrounding],
  };
  const programs = setting === 'strict' ? PROGRAMS : PROGRAMS.slice(0, -1);
  const nest = surroundings[surrounding].types.includes('node') ? ['nest.ts'] : [];
  const files = ['compatible.ts', ...nest, ...programs];
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  const tsc = join(compiler, 'bin', 'tsc');
  const ended = spawnSync(process.execPath, [tsc, '-p', folder], { cwd: folder, encoding: 'utf8' });
  return ended.status === 0 ? '' : ended.stdout + ended.stderr;
}

function table(results) {
  const versions = compilers.map(([version]) => version);
  const rows = new Map();
  for (const { setting, resolution, surrounding, version, said } of results) {
    const name = `| ${setting} | \`${resolution}\` | ${surrounding} |`;
    rows.set(name, { ...rows.get(name), [version]: said === '' ? 'yes' : 'no' });
  }
  const lines = [...rows].map(
    ([name, cells]) => `${name} ${versions.map((version) => cells[version]).join(' | ')} |`,
  );
  const head = `| settings | modules | types of | ${versions.join(' | ')} |`;
  return [head, `|---|---|---|${'---|'.repeat(versions.length)}`, ...lines].join('\n');
}

run(process.execPath, [join(root, 'scripts', 'fixtures.mjs'), 'types']);
const folder = mkdtempSync(join(tmpdir(), 'oxbus-types-'));
try {
  project(folder);
  const results = combinations(process.argv.includes('--part')).map((one) => ({
    ...one,
    said: compile(folder, one),
  }));
  for (const { version, setting, resolution, surrounding, said } of results) {
    if (said !== '')
      console.log(`TypeScript ${version}, ${setting}, ${resolution}, ${surrounding}:\n${said}`);
  }
  console.log(table(results));
  const failed = results.filter(({ said }) => said !== '').length;
  console.log(`${results.length - failed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
