import { createStore as createIoredisStore } from './ioredis.mjs';

export const createStore = (url, options) =>
  createIoredisStore(url, options, { autoPipelining: true });
