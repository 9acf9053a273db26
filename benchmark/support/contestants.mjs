import { BEFORE } from './before.mjs';

/**
 * The buses that can be compared. `floor` is not a bus but the JSON work alone; ratios are taken
 * against `oxbus`.
 */
export const peers = ['ioredis', 'ioredis-autopipelining', 'node-redis', 'valkey-glide'];

export const SUBJECT = 'oxbus';
export const FLOOR = 'floor';

/** Oxbus, and the build that it is compared with where `OXBUS_BEFORE` names one. */
export const subjects = BEFORE ? [SUBJECT, BEFORE] : [SUBJECT];

/** @returns {Promise<{ createBus: (url: string) => any }>} */
export const load = (name) => import(`../contestants/${name}.mjs`);

/** What the same contestants have for durable events. */
export const loadStreams = (name) => import(`../contestants/streams/${name}.mjs`);

/** What the same contestants have for rooms. */
export const loadRooms = (name) => import(`../contestants/rooms/${name}.mjs`);

/** What the same contestants have for requests and replies, and the Redis transport of Nest. */
export const loadRequest = (name) => import(`../contestants/request/${name}.mjs`);

/** What the same contestants have where a bus has a local side. */
export const loadHybrid = (name) => import(`../contestants/hybrid/${name}.mjs`);

/** What the same contestants have for a Redis Cluster. */
export const loadCluster = (name) => import(`../contestants/cluster/${name}.mjs`);
