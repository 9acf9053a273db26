const POLL_MS = 50;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The first value of `look` that is not falsy. @throws after `limit` ms */
export async function until(limit, what, look) {
  const deadline = Date.now() + limit;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`not within ${limit} ms: ${what}`);
    await pause(POLL_MS);
  }
}
