export { createConsumer } from './ioredis.mjs';
