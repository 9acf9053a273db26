import * as plain from './ioredis.mjs';

const options = { autoPipelining: true };

export const createResponder = (url, type, handler) =>
  plain.createResponder(url, type, handler, options);

export const createRequester = (url) => plain.createRequester(url, options);
