/** The protocol of a hub in a real browser: Chromium, with `socket.io-client` as the server serves it. */

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type BusEvent, EventBusClient } from '../..';
import { createHub } from '../../socket.io';
import { eventually } from '../support/eventually';
import { runNode } from '../support/scripts';
import { Opened } from '../support/socket-io';

const ROOT = join(__dirname, '..', '..');
const FOLDER = join(ROOT, 'fixtures', 'browser');
const load = createRequire(join(FOLDER, 'package.json'));
/** The packages are installed once. */
const LIMIT = 120_000;
const opened = new Opened();

interface Page {
  goto(url: string): Promise<unknown>;
  addScriptTag(script: { url: string }): Promise<unknown>;
  evaluate<T>(script: string): Promise<T>;
}
interface Browser {
  newPage(): Promise<Page>;
  close(): Promise<void>;
}

let browser: Browser;

beforeAll(async () => {
  const { code, err } = await runNode([join(ROOT, 'scripts', 'fixtures.mjs'), 'browser'], {
    limit: LIMIT,
  });
  expect([code, err]).toEqual([0, expect.anything()]);
  // Its package is an ES module, which Jest does not load: it unpacks its Chromium in a process of its own.
  const module = pathToFileURL(load.resolve('@sparticuz/chromium')).href;
  const ask = `const { default: chromium } = await import('${module}');
    console.log(JSON.stringify([await chromium.executablePath(), chromium.args]));`;
  const told = await runNode(['--input-type=module', '-e', ask], { limit: LIMIT });
  if (told.code !== 0) throw new Error(`there is no Chromium for this system:\n${told.err}`);
  const [unpacked, args] = JSON.parse(told.out) as [string, string[]];
  const { chromium } = load('playwright-core') as {
    chromium: { launch(options: object): Promise<Browser> };
  };
  // Another Chromium, where that of the package lacks libraries of the system.
  const executablePath = process.env.OXBUS_CHROMIUM ?? unpacked;
  browser = await chromium.launch({ executablePath, args, headless: true });
}, LIMIT + 1000);

afterEach(() => opened.close());
afterAll(() => browser?.close());

/** What the guide shows, with lists of what has come. */
const PAGE = `
  globalThis.told = { events: [], gaps: [], welcomes: 0, errors: [] };
  globalThis.token = 'good';
  globalThis.socket = io('/', { auth: (give) => give({ token }), reconnectionDelay: 50 });
  const patterns = new Set();
  let wasConnected = false;
  globalThis.subscribe = async (pattern) => {
    const answer = await socket.emitWithAck('oxbus:subscribe', pattern);
    if (answer.ok) patterns.add(pattern);
    return answer;
  };
  socket.on('connect', async () => {
    for (const pattern of patterns) await subscribe(pattern);
    if (wasConnected) told.gaps.push('reconnected');
    wasConnected = true;
  });
  socket.on('connect_error', (error) => told.errors.push(error.data?.code));
  socket.on('oxbus:welcome', () => { told.welcomes += 1; });
  socket.on('oxbus:event', (event, pattern) => told.events.push({ event, pattern }));
  socket.on('oxbus:gap', (gap) => told.gaps.push(gap));
`;

test('a page subscribes, publishes, joins rooms, gets bytes, and comes back', async () => {
  const bus = new EventBusClient({ mode: 'memory', memory: 'browser', logLevel: 'error' });
  opened.add(() => bus.disconnect());
  const { io, url } = await opened.server({ serveClient: true });
  const hub = createHub(io, bus, {
    authorize({ auth }, action) {
      if (action.name === 'connect') return auth.token === 'good';
      if (action.name === 'publish') return { options: { source: 'page', userId: 'ann' } };
      return action.name !== 'subscribe' || action.pattern !== 'secret';
    },
  });
  opened.add(() => hub.close());
  const page = await browser.newPage();
  await page.goto(`${url}/socket.io/socket.io.min.js`);
  await page.addScriptTag({ url: `${url}/socket.io/socket.io.min.js` });
  await page.evaluate(PAGE);
  const events = () => page.evaluate<{ event: any; pattern: string }[]>('told.events');

  expect(await page.evaluate(`subscribe('order.*')`)).toEqual({ ok: true, value: true });
  expect(await page.evaluate(`subscribe('secret')`)).toMatchObject({
    error: { code: 'ERR_BUS_PERMISSION_DENIED' },
  });
  const onBus: BusEvent[] = [];
  await bus.subscribe('page.*', (event) => void onBus.push(event));
  const published = `socket.emitWithAck('oxbus:publish', { type: 'page.said', data: { text: 'hej' } })`;
  expect(await page.evaluate(published)).toMatchObject({ ok: true, value: { type: 'page.said' } });
  await eventually(() => onBus.length === 1);
  expect(onBus[0]).toMatchObject({
    data: { text: 'hej' },
    metadata: { source: 'page', userId: 'ann' },
  });
  await bus.publish('order.placed', { orderId: 7 });
  await eventually(async () => (await events()).length === 1);
  expect((await events())[0]).toMatchObject({
    pattern: 'order.*',
    event: { type: 'order.placed', data: { orderId: 7 } },
  });

  // A room, with a member that services see.
  const join = `socket.emitWithAck('oxbus:join', { room: 'desk', member: 'ann' })`;
  expect(await page.evaluate(join)).toEqual({ ok: true, value: true });
  expect(await bus.getRoomMembers('desk')).toEqual(['ann']);
  await bus.publishToRoom('desk', 'order.shipped', 1);
  await eventually(async () => (await events()).length === 2);

  // Bytes: to a service as a Buffer, and to the page as an ArrayBuffer.
  const service = opened.hubClient(url, { auth: { token: 'good' } });
  const heard: BusEvent[] = [];
  await service.subscribe('page.file', (event) => void heard.push(event));
  await page.evaluate(
    `socket.emitWithAck('oxbus:publish', { type: 'page.file', data: new Uint8Array([0, 255]) })`,
  );
  await eventually(() => heard.length === 1);
  expect(heard[0]!.data).toEqual(Buffer.from([0, 255]));
  await service.publish('order.scanned', { scan: Buffer.from([1, 2, 254]) });
  await eventually(async () => (await events()).length === 3);
  const bytes = `[...new Uint8Array(told.events[2].event.data.scan)]`;
  expect(await page.evaluate(bytes)).toEqual([1, 2, 254]);

  // The connection breaks: the page comes back with what it had.
  for (const socket of io.of('/').sockets.values()) socket.conn.close();
  await eventually(async () => (await page.evaluate<string[]>('told.gaps')).length === 1);
  await bus.publish('order.placed', { orderId: 8 });
  await eventually(async () => (await events()).length === 4);
  expect(await page.evaluate('told.welcomes')).toBe(2);

  // Whose token does not count is told so.
  await page.evaluate(`token = 'bad'; socket.disconnect().connect(); 0`);
  await eventually(
    async () => (await page.evaluate<string[]>('told.errors'))[0] === 'ERR_BUS_AUTH_FAILED',
  );
}, 90_000);
