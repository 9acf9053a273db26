/** Measures what the process spends from now until `stop`. */
export function startMeter() {
  const cpu = process.cpuUsage();
  const loop = performance.eventLoopUtilization();
  const started = performance.now();
  return {
    /**
     * @param {number} events
     * @returns events per second; CPU of all threads and active time of the JavaScript thread, in
     * microseconds per event
     */
    stop(events) {
      const seconds = (performance.now() - started) / 1000;
      const { user, system } = process.cpuUsage(cpu);
      const { active } = performance.eventLoopUtilization(loop);
      return {
        rate: events / seconds,
        cpu: (user + system) / events,
        js: (active * 1000) / events,
      };
    },
  };
}
