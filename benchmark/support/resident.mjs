const INTERVAL_MS = 20;

/**
 * Looks at the resident memory of this process every 20 ms until `stop`.
 * @returns {{ stop: () => number }} `stop` gives the highest that was seen, in MB
 */
export function watchResident() {
  let highest = 0;
  const look = () => {
    highest = Math.max(highest, process.memoryUsage.rss());
  };
  const timer = setInterval(look, INTERVAL_MS);
  return {
    stop() {
      clearInterval(timer);
      look();
      return highest / 2 ** 20;
    },
  };
}
