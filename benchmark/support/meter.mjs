import { tellsThreadTime, threadTime } from './thread-time.mjs';

/**
 * Measures from now on how long the JavaScript thread works, in ms. Where the system does not tell its processor time, it is
 * the active time of the event loop, and undefined if the runtime does not tell that either.
 */
function startThreadMeter() {
  if (tellsThreadTime) {
    const started = threadTime();
    return ({ cpu }) => threadTime() - started - cpu;
  }
  const loop = performance.eventLoopUtilization?.();
  return ({ ms }) => {
    const { active, idle } = performance.eventLoopUtilization?.(loop) ?? { active: 0, idle: 0 };
    return active + idle > 0 ? active - ms : undefined;
  };
}

/** Measures what the process spends from now until `stop`. */
export function startMeter() {
  const worked = startThreadMeter();
  const cpu = process.cpuUsage();
  const started = performance.now();
  /** What is left out, in ms of the clock and of processor time. */
  const left = { ms: 0, cpu: 0 };
  return {
    /** Calls what keeps the JavaScript thread busy, and leaves it out of everything that is measured. */
    without(call) {
      const [before, from] = [process.cpuUsage(), performance.now()];
      const result = call();
      left.ms += performance.now() - from;
      const { user, system } = process.cpuUsage(before);
      left.cpu += (user + system) / 1000;
      return result;
    },
    /**
     * @param {number} events
     * @returns events per second; CPU of all threads and of the JavaScript thread, in microseconds per event
     */
    stop(events) {
      const ms = performance.now() - started - left.ms;
      const { user, system } = process.cpuUsage(cpu);
      const thread = worked(left);
      return {
        rate: (events * 1000) / ms,
        cpu: (user + system - left.cpu * 1000) / events,
        js: thread === undefined ? undefined : (thread * 1000) / events,
      };
    },
  };
}
