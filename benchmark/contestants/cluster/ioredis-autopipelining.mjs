export { createStore } from './ioredis.mjs';
