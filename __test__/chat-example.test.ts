/** The chat of examples/chat: one command, two people, two services; in memory and on a Redis. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { eventually } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { Opened } from './support/socket-io';

const MAIN = join(__dirname, '..', 'examples', 'chat', 'main.mjs');
const opened = new Opened();
afterEach(() => opened.close());

async function start(env: NodeJS.ProcessEnv): Promise<string> {
  const child = spawn(process.execPath, [MAIN], {
    env: { ...process.env, REDIS_URL: undefined, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  opened.add(async () => {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });
  const [line] = await once(createInterface(child.stdout), 'line');
  return /^open (\S+) in/.exec(line)![1]!;
}

/** What the page does. */
async function person(url: string, name: string) {
  const socket = await opened.client(url, { auth: { name } });
  const heard: any[] = [];
  socket.on('oxbus:event', (event) => heard.push(event));
  const ask = (what: string, ...args: unknown[]) => socket.emitWithAck(`oxbus:${what}`, ...args);
  await ask('subscribe', 'chat.said');
  await ask('subscribe', 'chat.count');
  expect(await ask('join', { room: 'lobby', member: name })).toEqual({ ok: true, value: true });
  await ask('publish', { type: 'chat.joined', data: { room: 'lobby' } });
  const texts = () =>
    heard
      .filter(({ type }) => type === 'chat.said')
      .map(({ data, metadata }) => `${metadata.userId}: ${data.text}`);
  return { socket, ask, heard, texts };
}

test.each(['memory', 'redis'])(
  '%s',
  async (transport) => {
    const env: NodeJS.ProcessEnv = {};
    if (transport === 'redis') {
      const server = await RedisServer.start();
      opened.add(() => server.stop());
      env.REDIS_URL = server.url;
    }
    const url = await start(env);
    expect(await (await fetch(url)).text()).toContain('<title>Chat</title>');
    const ann = await person(url, 'ann');
    await eventually(() => ann.texts().includes('greeter: Welcome, ann. Here: ann'));
    const bob = await person(url, 'bob');
    await eventually(() => ann.texts().includes('greeter: Welcome, bob. Here: ann, bob'));
    await bob.ask('publish', { type: 'chat.said', data: { text: 'hej' }, room: 'lobby' });
    await eventually(() => ann.texts().includes('bob: hej') && bob.texts().includes('bob: hej'));
    await eventually(() =>
      ann.heard.some(({ type, data }) => type === 'chat.count' && data.count === 3),
    );
    // Nobody speaks for somebody else, or hears what is not theirs.
    const denied = { ok: false, error: { code: 'ERR_BUS_PERMISSION_DENIED' } };
    expect(await bob.ask('join', { room: 'lobby', member: 'ann' })).toMatchObject(denied);
    expect(await bob.ask('subscribe', 'room:*')).toMatchObject(denied);
    await expect(opened.client(url, { auth: { token: 'guess' } })).rejects.toThrow();
    bob.socket.disconnect();
    await eventually(async () => (await ann.ask('members', 'lobby')).value.length === 1);
    expect((await ann.ask('members', 'lobby')).value).toEqual(['ann']);
  },
  30_000,
);
