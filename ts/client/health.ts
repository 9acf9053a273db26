/** The health report: of the engine, or of a client whose engine does not answer. */

import type { ClientState, HealthReport } from '../../index';
import { describe } from '../errors';
import type { Settings } from '../native/native';
import { clearTimeout, setTimeout } from '../runtime/clock';

/** How events travel, as far as it is known when the engine cannot be asked. */
const MODE_WITHOUT_REPORT = {
  memory: 'memory',
  redis: 'redis-only',
  hybrid: 'local-only',
} as const;

/** The engine has this long to answer, in ms. */
const LIMIT = 1000;

export interface HealthOwner {
  readonly mode: Settings['mode'];
  state(): ClientState;
  /** Asks the engine; throws when the client is closed, and rejects when the signal aborts. */
  ask(signal: AbortSignal): Promise<HealthReport>;
  /** Takes everything that the engine has ready. */
  drain(): void;
}

/** Never rejects: a report that cannot be had is `unhealthy`. */
export async function healthReport(owner: HealthOwner): Promise<HealthReport> {
  const limit = new AbortController();
  const timer = setTimeout(() => {
    // After a blocked event loop this timer may fire before a report that has been ready for long.
    owner.drain();
    limit.abort();
  }, LIMIT);
  try {
    return await owner.ask(limit.signal);
  } catch (error) {
    return {
      status: 'unhealthy',
      mode: MODE_WITHOUT_REPORT[owner.mode],
      state: owner.state(),
      latency: null,
      redis: owner.mode === 'memory' ? null : { connected: false },
      connections: {},
      streams: {},
      eventLoop: { blockedMs: 0 },
      warnings: [{ code: 'NO_REPORT', message: describe(error) }],
    };
  } finally {
    clearTimeout(timer);
  }
}
