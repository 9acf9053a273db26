import { createStore as createQueue } from './bullmq.mjs';

/** The queue with its own call for many jobs at once. */
export const createStore = (url, options) => ({ ...createQueue(url, options), bulk: 100 });
