import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const LIMIT_MS = 20_000;

/** No process outlives the run, however that ends. */
const children = new Set();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** A process of a service. It does what it is told, one thing after the other. */
export class ServiceProcess {
  #child;
  #waiting = new Map();
  #early = new Map();
  #failure;

  constructor(params) {
    this.name = params.name;
    const module = fileURLToPath(new URL('./service.mjs', import.meta.url));
    this.#child = fork(module, [JSON.stringify(params)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      serialization: 'advanced',
      execArgv: [],
    });
    children.add(this.#child);
    this.#child.on('message', (message) => {
      if (message.kind === 'failed') return this.#fail(new Error(message.message));
      const waiting = this.#waiting.get(message.kind);
      if (waiting === undefined) return this.#early.set(message.kind, message);
      this.#waiting.delete(message.kind);
      waiting.resolve(message);
    });
    this.#child.once('exit', (code, signal) => {
      children.delete(this.#child);
      this.#fail(new Error(`${params.name} ended with ${signal ?? code}`));
    });
  }

  #fail(error) {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  /** Tells it to do something, and waits until it has. */
  tell(kind, given = {}) {
    const answer = this.next(kind);
    if (this.#child.connected) this.#child.send({ kind, ...given });
    return answer;
  }

  /** Its next message of a kind. */
  async next(kind) {
    const early = this.#early.get(kind);
    if (early !== undefined) {
      this.#early.delete(kind);
      return early;
    }
    if (this.#failure !== undefined) throw this.#failure;
    let limit;
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.set(kind, { resolve, reject });
        const late = () => reject(new Error(`no '${kind}' within ${LIMIT_MS} ms`));
        limit = setTimeout(late, LIMIT_MS);
      });
    } finally {
      clearTimeout(limit);
    }
  }
}
