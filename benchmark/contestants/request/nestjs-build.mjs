// This file imports no build, so that a process of one build has no other one in its memory.

import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { firstValueFrom, timeout } from 'rxjs';

const TIMEOUT = 5000;

Logger.overrideLogger(false);

const optionsOf = (url) => ({ bus: { redis: url, logger: false } });

/** `OxbusClient` and `OxbusServer` of a build without the rest of Nest, as Nest's own transport in nestjs.mjs. */
export function nestRequestsOf({ OxbusClient, OxbusServer }) {
  return {
    async createResponder(url, type, handler) {
      const server = new OxbusServer(optionsOf(url));
      server.addHandler(type, async (data) => handler(data), false);
      await new Promise((resolve, reject) => {
        server.listen((error) => (error ? reject(error) : resolve()));
      });
      return { close: () => server.close() };
    },
    async createRequester(url) {
      const client = new OxbusClient(optionsOf(url));
      await client.connect();
      return {
        request: (type, data) => firstValueFrom(client.send(type, data).pipe(timeout(TIMEOUT))),
        close: () => client.close(),
      };
    },
  };
}
