import * as plain from './ioredis.mjs';

export const createRoomClient = (url) => plain.createRoomClient(url, { autoPipelining: true });
