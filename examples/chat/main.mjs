// A chat: a hub that serves a page, and two services that are clients of the hub. One command starts all three:
//
//   node examples/chat/main.mjs
//
// It needs socket.io and socket.io-client. PORT is the port, 3000 by default; with REDIS_URL several such hubs are one chat.

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const token = randomUUID();

/** Starts a part, and resolves to the first line that it says. */
async function start(name, env) {
  const file = fileURLToPath(new URL(`${name}.mjs`, import.meta.url));
  const child = spawn(process.execPath, [file], {
    env: { ...process.env, CHAT_TOKEN: token, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const [line] = await once(createInterface(child.stdout), 'line');
  return line;
}

const children = [];
const stop = () => {
  for (const child of children) child.kill('SIGTERM');
};
process.once('SIGINT', stop);
process.once('SIGTERM', stop);

const url = await start('hub');
await Promise.all(['greeter', 'counter'].map((name) => start(name, { CHAT_URL: url })));
console.log(`open ${url} in two windows`);
