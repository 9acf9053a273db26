import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const STOP_LIMIT_MS = 20_000;

/** No process outlives the run, however that ends. */
const children = new Set();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/**
 * A publisher or consumer: a process, and after it was killed another one. Each process has a seed and a
 * journal of its own. A process that ends without being told to is a problem.
 */
export class RestartableProcess {
  kills = 0;
  freezes = 0;
  stops = 0;
  journals = [];
  problems = [];
  #module;
  #name;
  #params;
  #random;
  #folder;
  #child;
  #begun;
  #ready;

  constructor(module, name, params, random, folder) {
    this.#module = fileURLToPath(new URL(module, import.meta.url));
    this.#name = name;
    this.#params = params;
    this.#random = random;
    this.#folder = folder;
  }

  /** @param changed what differs from the parameters, for this process alone */
  start(changed) {
    const name = `${this.#name}-${this.journals.length + 1}`;
    const journal = join(this.#folder, `${name}.jsonl`);
    this.journals.push(journal);
    const own = { name: this.#name, seed: this.#random.seed(), journal };
    const params = { ...this.#params, ...changed, ...own };
    const child = fork(this.#module, [JSON.stringify(params)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child = child;
    children.add(child);
    child.once('exit', (code, signal) => {
      children.delete(child);
      if (this.#child !== child) return;
      this.problems.push(`${name} ended by itself with ${signal ?? code}`);
    });
    const ended = once(child, 'exit');
    const told = (wanted) =>
      new Promise((resolve) => {
        child.on('message', ({ kind }) => kind === wanted && resolve());
      });
    this.#begun = Promise.race([told('begun'), ended]);
    this.#ready = Promise.race([told('ready'), ended]);
  }

  /** Resolves when the process has told that it is ready, or has ended. */
  ready() {
    return this.#ready;
  }

  async kill() {
    const child = this.#child;
    this.#child = undefined;
    if (!isRunning(child)) return;
    this.kills += 1;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  freeze() {
    this.freezes += 1;
    this.#child?.kill('SIGSTOP');
  }

  thaw() {
    this.#child?.kill('SIGCONT');
  }

  /** Ends the process as a service is ended. It has to be gone in time and without an error. */
  async stop() {
    const child = this.#child;
    this.#child = undefined;
    if (!isRunning(child)) return;
    this.stops += 1;
    const ended = once(child, 'exit');
    await this.#begun;
    const limit = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
    child.kill('SIGTERM');
    const [code, signal] = await ended;
    clearTimeout(limit);
    if (code !== 0) this.problems.push(`${this.#name} ended with ${signal ?? code} when stopped`);
  }
}

const isRunning = (child) =>
  child !== undefined && child.exitCode === null && child.signalCode === null;
