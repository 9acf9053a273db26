/** The active time of the JavaScript thread since `before`; undefined where the runtime does not tell (Bun). */
const loopOf = (before) => performance.eventLoopUtilization?.(before);

/** Measures what the process spends from now until `stop`. */
export function startMeter() {
  const cpu = process.cpuUsage();
  const loop = loopOf();
  const started = performance.now();
  const left = { ms: 0, cpu: 0 };
  return {
    /** Calls what keeps the JavaScript thread busy, and leaves it out of everything that is measured. */
    without(call) {
      const [before, from] = [process.cpuUsage(), performance.now()];
      const result = call();
      left.ms += performance.now() - from;
      const { user, system } = process.cpuUsage(before);
      left.cpu += user + system;
      return result;
    },
    /**
     * @param {number} events
     * @returns events per second; CPU of all threads and active time of the JavaScript thread, in
     * microseconds per event
     */
    stop(events) {
      const ms = performance.now() - started - left.ms;
      const { user, system } = process.cpuUsage(cpu);
      const active = loopOf(loop)?.active;
      return {
        rate: (events * 1000) / ms,
        cpu: (user + system - left.cpu) / events,
        js: active === undefined ? undefined : ((active - left.ms) * 1000) / events,
      };
    },
  };
}
