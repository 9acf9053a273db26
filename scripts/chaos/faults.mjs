// The faults of a run. Their kinds and times follow from the generator that each function gets.

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Kills and freezes a consumer, often for longer than its lease. */
export async function disturbConsumer(worker, random, isOver) {
  for (;;) {
    await pause(random.between(300, 4000));
    if (isOver()) return;
    if (random.chance(0.5)) {
      await worker.kill();
      await pause(random.between(0, 1000));
      worker.start();
    } else {
      worker.freeze();
      await pause(random.between(200, 5000));
      worker.thaw();
    }
  }
}

/** Kills the server and starts it again. @returns how often */
export async function disturbServer(server, random, isOver) {
  for (let kills = 0; ; kills += 1) {
    await pause(random.between(2000, 10_000));
    if (isOver()) return kills;
    await server.kill();
    await pause(random.between(0, 2500));
    await server.start();
  }
}

/** Kills a consumer so many times, some of them before it has subscribed. */
export async function restartConsumer(worker, random, times) {
  for (let turn = 0; turn < times; turn += 1) {
    await pause(random.between(100, 1200));
    await worker.kill();
    worker.start();
  }
}
