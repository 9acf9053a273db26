/** TLS: what connects is what `node:tls` connects to. `OXBUS_TLS_TABLE=1` prints the whole table. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectPlain, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ConnectionOptions,
  connect,
  createServer,
  type Server,
  type TlsOptions,
} from 'node:tls';
import { EventBusClient, type RedisConfig, type TlsConfig } from '..';
import { RedisServer } from './support/redis-server';
import { runScript } from './support/scripts';
import { authority, CASES, client, leaf, other, own, trusting } from './support/tls-cases';

let redis: RedisServer;
const open: { server: Server; sockets: Set<Socket> }[] = [];

beforeAll(async () => {
  redis = await RedisServer.start();
});

afterEach(async () => {
  for (const { server, sockets } of open.splice(0)) {
    for (const socket of sockets) socket.destroy();
    await new Promise((closed) => server.close(closed));
  }
});

afterAll(() => redis.stop());

/** TLS in front of the server, with the TLS of Node. */
async function serve(options: TlsOptions): Promise<number> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer(options, (client) => {
    const back = connectPlain(redis.port, '127.0.0.1');
    for (const socket of [client, back]) keep(socket);
    client.pipe(back).pipe(client);
    client.on('close', () => back.destroy());
  });
  server.on('connection', keep);
  server.on('tlsClientError', () => {});
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  open.push({ server, sockets });
  return (server.address() as { port: number }).port;
}

/** What `node:tls` makes of it: `connects`, or the code of its error. */
function byNode(port: number, host: string, tls: TlsConfig): Promise<string> {
  return new Promise((resolve) => {
    let socket: ReturnType<typeof connect>;
    try {
      socket = connect({ port, host, ...(tls as ConnectionOptions) });
    } catch (error) {
      resolve((error as NodeJS.ErrnoException).code ?? String(error));
      return;
    }
    // In TLS 1.3 the server judges the client's certificate after the client is done.
    socket.on('secureConnect', () => socket.write('PING\r\n'));
    const end = (outcome: string) => {
      resolve(outcome);
      socket.destroy();
    };
    socket.on('data', () => end('connects'));
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    socket.on('close', () => end('closed'));
    socket.setTimeout(2_000, () => end('no answer'));
  });
}

/** What Oxbus makes of it: `connects`, or its error. */
async function byOxbus(redis: RedisConfig): Promise<{ outcome: string; message: string }> {
  let bus: EventBusClient | undefined;
  try {
    bus = new EventBusClient({ logger: false, redis: { connectTimeout: 2_000, ...redis } });
    await bus.connect();
    return { outcome: 'connects', message: '' };
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return { outcome: code.replace('ERR_BUS_', ''), message };
  } finally {
    await bus?.disconnect();
  }
}

/** The cases that the guide names as different. */
function documented(): string[] {
  const guide = readFileSync(join(__dirname, '..', 'docs', 'configuration.md'), 'utf8');
  const rows = guide.matchAll(/^\| (.*?) \| (connects|refused) \| (connects|refused) \|/gm);
  return [...rows].map(([, name, node, oxbus]) => `${name}: ${node}, ${oxbus}`);
}

test('what connects is what node:tls connects to, but for the differences that the guide names', async () => {
  const rows: string[] = [];
  const wrong: string[] = [];
  const different: string[] = [];
  for (const one of CASES) {
    const { name, server, chain, options, host = 'localhost', tls, node, oxbus = node, says } = one;
    const cert = server.cert + (chain?.cert ?? '');
    const port = await serve({ cert, key: server.key, ...options });
    const ofNode = await byNode(port, host, tls);
    const ours = await byOxbus({ host, port, tls });
    rows.push(`| ${name} | ${ofNode} | ${ours.outcome} | ${ours.message} |`);
    const asExpected = connects(ofNode) === node && connects(ours.outcome) === oxbus;
    if (!asExpected || (says !== undefined && !ours.message.includes(says)))
      wrong.push(`${rows.at(-1)}`);
    if (ours.message.includes('hunter')) wrong.push(`${name}: shows the passphrase`);
    if (node !== oxbus) different.push(`${name}: ${word(node)}, ${word(oxbus)}`);
  }
  if (process.env.OXBUS_TLS_TABLE) process.stdout.write(`${rows.join('\n')}\n`);
  expect(wrong).toEqual([]);
  expect(documented()).toEqual(different);
});

const connects = (outcome: string) => outcome === 'connects';
const word = (outcome: boolean) => (outcome ? 'connects' : 'refused');

test('plain text where TLS is expected, and TLS where it is not, are told with what to write', async () => {
  const port = await serve({ cert: leaf.cert, key: leaf.key });
  expect(await byOxbus({ port })).toEqual({
    outcome: expect.stringMatching(/TLS_FAILED|CONNECTION_LOST/),
    message: expect.stringContaining('write rediss:// instead of redis://'),
  });
  expect(await byOxbus({ port: redis.port, tls: trusting(authority) })).toEqual({
    outcome: 'TLS_FAILED',
    message: expect.stringContaining('write redis:// instead of rediss://'),
  });
});

test('the authorities that Node is told to trust are trusted, unless there is a ca', async () => {
  const port = await serve({ cert: leaf.cert, key: leaf.key });
  const alone = await serve({ cert: own.cert, key: own.key });
  const folder = mkdtempSync(join(tmpdir(), 'oxbus-ca-'));
  const file = join(folder, 'ca.pem');
  writeFileSync(file, authority.cert + own.cert);
  try {
    const extra = { NODE_EXTRA_CA_CERTS: file, NODE_USE_SYSTEM_CA: undefined };
    for (const [trusted, env, tls, node, oxbus] of [
      [port, extra, true, true, true],
      [alone, extra, true, true, true],
      [port, extra, { ca: other.cert }, false, false],
      // The system's authorities are those of this file; versions of Node differ in whether they know the switch.
      [port, { NODE_USE_SYSTEM_CA: '1', SSL_CERT_FILE: file }, true, undefined, true],
      [port, { NODE_USE_SYSTEM_CA: undefined, SSL_CERT_FILE: file }, true, false, false],
      [port, { NODE_EXTRA_CA_CERTS: join(folder, 'none.pem') }, true, false, false],
    ] as const) {
      const ended = await runScript(BOTH, [trusted, tls], {
        env: { NODE_EXTRA_CA_CERTS: undefined, ...env },
      });
      const { warnings, ...connected } = JSON.parse(ended.out);
      const wanted = { node: node ?? connected.node, oxbus };
      expect({ ...connected, env, err: ended.code === 0 ? '' : ended.err }).toEqual({
        ...wanted,
        env,
        err: '',
      });
      const missing =
        'NODE_EXTRA_CA_CERTS' in env && `${env.NODE_EXTRA_CA_CERTS}`.includes('none.pem');
      expect(warnings).toEqual(missing ? ['CA_IGNORED'] : []);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Connects with `node:tls` and with Oxbus. */
const BOTH = `
  const [port, tls] = args;
  const options = tls === true ? {} : tls;
  const node = await new Promise((resolve) => {
    const socket = require('node:tls').connect({ port, host: 'localhost', ...options });
    socket.on('secureConnect', () => { resolve(true); socket.destroy(); });
    socket.on('error', () => resolve(false));
  });
  const redis = { host: 'localhost', port, tls };
  const bus = new oxbus.EventBusClient({ redis, logger: false });
  const warnings = [];
  bus.on('warning', ({ code }) => warnings.push(code));
  const connected = await bus.connect().then(() => true, () => false);
  await bus.disconnect();
  console.log(JSON.stringify({ node, oxbus: connected, warnings }));
`;

test('a key that cannot be used is refused when the client is made', () => {
  const key = client.encryptedKey('hunter2', 'aes-256-cbc');
  for (const [tls, path] of [
    [{ cert: client.cert, key }, 'redis.tls.passphrase'],
    [{ cert: client.cert, key, passphrase: 'hunter3' }, 'redis.tls.passphrase'],
    [{ cert: client.cert, key: own.key }, 'redis.tls.cert'],
    [{ passphrase: 'hunter3' }, 'redis.tls.key'],
  ] as const) {
    const create = () => new EventBusClient({ redis: { tls }, logger: false });
    expect(create).toThrow(expect.objectContaining({ code: 'ERR_BUS_INVALID_CONFIG', path }));
    expect(create).not.toThrow(/hunter/);
  }
});
