import { createBus as createIoredisBus } from './ioredis.mjs';

export const createBus = (url) => createIoredisBus(url, { autoPipelining: true });
