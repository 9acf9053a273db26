/** Waiting on a condition with a deadline, never for a fixed time. */

/** Far more than anything needs, as machines are shared; less than a lease, so that none is over before it. */
const DEADLINE = 25_000;

/** Resolves when `check` no longer throws nor answers false; rejects with its last fault. */
export async function eventually<T>(check: () => T | Promise<T>, deadline = DEADLINE): Promise<T> {
  const end = performance.now() + deadline;
  for (;;) {
    let fault: unknown;
    try {
      const result = await check();
      if (result !== false) return result;
      fault = new Error(`still false after ${deadline} ms: ${check}`);
    } catch (error) {
      fault = error;
    }
    if (performance.now() >= end) throw fault;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A promise that is settled from outside. */
export class Gate<T = void> {
  open!: (value: T) => void;
  readonly opened = new Promise<T>((resolve) => {
    this.open = resolve;
  });
}
