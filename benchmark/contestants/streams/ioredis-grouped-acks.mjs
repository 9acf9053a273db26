import { createConsumer as createIoredisConsumer } from './ioredis.mjs';

/** The loop on ioredis with one XACK for all events that ended together. */
export const createConsumer = (url, options) =>
  createIoredisConsumer(url, options, { grouped: true });
