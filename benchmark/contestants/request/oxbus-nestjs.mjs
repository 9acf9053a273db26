// `OxbusClient` and `OxbusServer` without the rest of Nest, as its own transport in nestjs.mjs.

import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { firstValueFrom, timeout } from 'rxjs';
import nestjs from '../../../nestjs.js';

const TIMEOUT = 5000;
const { OxbusClient, OxbusServer } = nestjs;

Logger.overrideLogger(false);

const optionsOf = (url) => ({ bus: { redis: url, logger: false } });

export async function createResponder(url, type, handler) {
  const server = new OxbusServer(optionsOf(url));
  server.addHandler(type, async (data) => handler(data), false);
  await new Promise((resolve, reject) => {
    server.listen((error) => (error ? reject(error) : resolve()));
  });
  return { close: () => server.close() };
}

export async function createRequester(url) {
  const client = new OxbusClient(optionsOf(url));
  await client.connect();
  return {
    request: (type, data) => firstValueFrom(client.send(type, data).pipe(timeout(TIMEOUT))),
    close: () => client.close(),
  };
}
