// The reading loop of a home-made consumer, without what is special about a client.

/**
 * Reads batches and runs at most `concurrency` handlers. The next batch is asked for before the
 * handlers of the last one are started, so that the server's answer travels meanwhile.
 *
 * @param {() => Promise<{ id: string, event: () => unknown }[]>} read waits for entries a while
 * @param {(id: string) => void} acknowledge
 */
export function createWindow(read, acknowledge, concurrency) {
  let running = 0;
  let stopped = false;
  let changed = () => {};
  const change = () =>
    new Promise((resolve) => {
      changed = resolve;
    });

  async function runOne({ id, event }, handler) {
    try {
      await handler(event());
      acknowledge(id);
    } catch (error) {
      // It stays pending, as in every loop of this kind.
      console.error(error);
    }
    running -= 1;
    changed();
  }

  async function loop(handler) {
    let next = read();
    while (!stopped) {
      const entries = await next;
      next = read();
      for (const entry of entries) {
        while (running >= concurrency && !stopped) await change();
        if (stopped) break;
        running += 1;
        runOne(entry, handler);
      }
    }
    // The read that is under way ends with its connection.
    next.catch(() => {});
  }

  let looping;
  return {
    start(handler) {
      looping = loop(handler).catch((error) => {
        if (!stopped) throw error;
      });
    },
    /** No handler starts any more; resolves when the running ones have ended. */
    async stop() {
      stopped = true;
      changed();
      while (running > 0) await change();
    },
    ended: () => looping,
  };
}
