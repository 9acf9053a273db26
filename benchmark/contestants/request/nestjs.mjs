// The Redis transport of Nest without the rest of Nest: no modules, no pipes, no interceptors. An application adds those.

import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { ClientRedis, ServerRedis } from '@nestjs/microservices';
import { firstValueFrom, timeout } from 'rxjs';

const TIMEOUT = 5000;

Logger.overrideLogger(false);

function optionsOf(url) {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}

export async function createResponder(url, type, handler) {
  const server = new ServerRedis(optionsOf(url));
  server.addHandler(type, async (data) => handler(data), false);
  await new Promise((resolve, reject) => {
    server.listen((error) => (error ? reject(error) : resolve()));
  });
  return { close: () => server.close() };
}

export async function createRequester(url) {
  const client = new ClientRedis(optionsOf(url));
  await client.connect();
  return {
    request: (type, data) => firstValueFrom(client.send(type, data).pipe(timeout(TIMEOUT))),
    close: () => client.close(),
  };
}
