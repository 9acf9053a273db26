/** The mode of a manager's client: hybrid if there is a Redis, else memory. */

import type { EventBusConfig, HealthReport } from '../../index';
import { readConfig } from '../client/config';
import { Log } from '../client/logger';
import { fromValue } from '../errors';

/** A configuration with a mode. */
interface WithMode {
  config: EventBusConfig;
  /** Given where it is memory only because no address is known: what the health report has to say of that. */
  fallback?: HealthReport['warnings'][number];
}

/** Adds the mode, if there is none: hybrid if the configuration, or the environment, names a Redis; else memory. */
export function readMode(config: EventBusConfig): WithMode {
  if (config.mode !== undefined) return { config };
  // A client refuses memory mode in production unless the configuration asks for it; the manager allows it.
  const { settings, logger } = readConfig(config, ['NODE_ENV']);
  // It is read at the first use, which is refused and may be put right.
  if (settings.noAddress !== undefined) throw fromValue(settings.noAddress);
  if (settings.mode === 'redis') return { config: { ...config, mode: 'hybrid' } };
  const log = new Log(logger, settings.logLevel, settings.serviceName);
  // The client is told to work in memory, so that it has nothing to say of that; of the rest it speaks itself.
  const notice = settings.notices.find(({ code }) => code === 'MEMORY_MODE');
  const read: WithMode = { config: { ...config, mode: 'memory' } };
  if (notice === undefined) return read;
  const { level, code, message } = notice;
  log.write(level, message, { code });
  // With `ENABLE_REDIS_EVENTS=false` it was asked for, and is no warning.
  return level === 'warn' ? { ...read, fallback: { code, message } } : read;
}
