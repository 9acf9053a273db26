/** A program beside a test, which takes a line of JSON as a command and tells what happens by lines of JSON. */

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { eventually } from './eventually';

export type Line = Record<string, unknown>;

/** How long a program may take to start: it may have much to load, on a machine with much to do. */
const START_LIMIT = 60_000;

export class Peer {
  /** What it has told. */
  readonly lines: Line[] = [];
  readonly #child: ChildProcess;
  #errors = '';
  #ended = false;
  #killed = false;

  private constructor(program: string, args: readonly string[]) {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    const ended = () => {
      this.#ended = true;
    };
    child.once('close', ended);
    child.once('error', (error) => {
      this.#errors += error.message;
      ended();
    });
    // A command to a program that has ended: `told` says so.
    child.stdin.on('error', () => {});
    child.stderr.on('data', (text) => {
      this.#errors = `${this.#errors}${text}`.slice(-4000);
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      // The last one of a program that was killed may be cut.
      if (!this.#killed) this.lines.push(JSON.parse(line));
    });
  }

  /** Starts one that says `{ ready: true }` when it is. */
  static async start(program: string, ...args: string[]): Promise<Peer> {
    const peer = new Peer(program, args);
    await peer.told((line) => line.ready === true, START_LIMIT);
    return peer;
  }

  /** Gives it a command. */
  tell(command: Line): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  /** The first line that `wanted` accepts, when it has come. */
  async told(wanted: (line: Line) => boolean, deadline?: number): Promise<Line> {
    await eventually(() => {
      if (this.lines.some(wanted)) return true;
      if (this.#ended) throw new Error(`the program has ended: ${this.#errors}`);
      return false;
    }, deadline);
    return this.lines.find(wanted) ?? {};
  }

  /** Kills it, as a crash would. */
  async kill(): Promise<void> {
    this.#killed = true;
    if (this.#ended) return;
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }
}
