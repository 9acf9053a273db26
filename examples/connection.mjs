/**
 * The examples run on the Redis of REDIS_URL, or in memory without that variable. The prefix keeps
 * them apart from other users of that Redis.
 */
export const connection = process.env.REDIS_URL
  ? { mode: 'redis', redis: process.env.REDIS_URL, channelPrefix: `oxbus-example:${process.pid}:` }
  : { mode: 'memory' };
