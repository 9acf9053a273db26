/** Every field of the configuration with values of the wrong kind: refused by name. */

import { EventBusClient, ValidationError } from '..';
import { COUNT, FLAG, IDENTIFIER, KINDS, type Kind, VALUES } from './support/values';

const CONFIG: Record<string, Kind[]> = {
  serviceName: ['text'],
  mode: [],
  memory: ['text'],
  channelPrefix: ['text', 'empty'],
  pubsub: FLAG,
  streams: ['array'],
  // At least 100, so that none of the values fits.
  lease: [],
  foreignLease: [],
  persistence: ['object'],
  'persistence.enabled': FLAG,
  'persistence.ttl': COUNT,
  'persistence.history': FLAG,
  'persistence.unknown': [],
  deadLetter: ['object'],
  'deadLetter.enabled': FLAG,
  'deadLetter.suffix': IDENTIFIER,
  'deadLetter.maxLength': COUNT,
  'deadLetter.unknown': [],
  redis: ['object'],
  validation: ['object'],
  schemas: ['object', 'array', 'instance'],
  validateOnReceive: FLAG,
  json: [],
  retry: ['object'],
  inherit: FLAG,
  logger: [],
  logLevel: [],
  requireNoEviction: FLAG,
  shutdownSignals: ['boolean', 'array'],
  performance: ['object'],
  'redis.url': [],
  'redis.host': ['text'],
  'redis.port': COUNT,
  'redis.username': ['text', 'empty', 'control'],
  'redis.password': ['text', 'empty', 'control'],
  'redis.database': COUNT,
  'redis.tls': ['boolean', 'object'],
  'redis.connectTimeout': COUNT,
  'redis.commandTimeout': COUNT,
  'redis.keepAlive': COUNT,
  // At least 100, so that none of the values fits.
  'redis.heartbeat': [],
  'redis.enableReadyCheck': FLAG,
  'redis.connectionName': ['text'],
  'redis.lazyConnect': FLAG,
  'redis.tls.ca': [],
  'redis.tls.cert': [],
  'redis.tls.key': [],
  'redis.tls.servername': ['text'],
  'redis.tls.rejectUnauthorized': FLAG,
  'validation.maxEventBytes': COUNT,
  'validation.maxDataBytes': COUNT,
  'retry.initialDelay': COUNT,
  'retry.maxDelay': COUNT,
  'retry.multiplier': ['number', 'fraction'],
  'retry.jitter': [],
  'performance.batchSize': COUNT,
  'performance.batchInterval': COUNT,
  'performance.maxRetries': COUNT,
  'performance.retryDelay': COUNT,
  'performance.maxInFlight': COUNT,
  'performance.maxInFlightBytes': COUNT,
  'redis.unknown': [],
  'redis.tls.unknown': [],
  'performance.unknown': [],
};

/** Of a stream of the configuration. */
const STREAM: Record<string, Kind[]> = {
  name: IDENTIFIER,
  events: ['text', 'control'],
  retention: [],
  // Without a kind of retention it is a count.
  retentionValue: COUNT,
  maxLength: COUNT,
  consumerGroups: ['array'],
  realtime: ['boolean', 'array'],
  safeTrim: FLAG,
  partitions: [],
  unknown: [],
};

/** The values of a field of the configuration, each within one. */
function* configs(): Generator<[string, Kind, Kind[], unknown]> {
  for (const [path, taken] of Object.entries(CONFIG)) {
    for (const kind of KINDS) {
      let config: unknown = VALUES[kind];
      for (const key of path.split('.').reverse()) config = { [key]: config };
      yield [path, kind, taken, config];
    }
  }
  for (const [key, taken] of Object.entries(STREAM)) {
    for (const kind of KINDS) {
      const stream = { name: 's', events: '*', [key]: VALUES[kind] };
      yield [`streams[0].${key}`, kind, taken, { streams: [stream] }];
    }
  }
}

test('fields of the configuration', () => {
  const wrong: string[] = [];
  for (const [path, kind, taken, config] of configs()) {
    let error: any;
    try {
      new EventBusClient({ mode: 'memory', logLevel: 'error', ...(config as object) });
    } catch (e) {
      error = e;
    }
    const what = `${path}: ${kind}`;
    if (error === undefined) {
      if (!taken.includes(kind)) wrong.push(`${what} accepted`);
    } else if (!(error instanceof ValidationError)) wrong.push(`${what} threw ${error}`);
    else if (taken.includes(kind)) wrong.push(`${what} refused: ${error.message}`);
    else if (!`${error.path}.`.startsWith(`${path}.`))
      wrong.push(`${what} refused at ${error.path}`);
    else if (error.code !== 'ERR_BUS_INVALID_CONFIG') wrong.push(`${what} is ${error.code}`);
  }
  expect(wrong).toEqual([]);
});
