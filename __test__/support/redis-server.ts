/** A real redis-server on a free port, in a folder of its own. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually';

export class RedisServer {
  readonly port: number;
  readonly #args: readonly string[];
  readonly #folder = mkdtempSync(join(tmpdir(), 'oxbus-redis-'));
  #process: ChildProcess | undefined;

  private constructor(port: number, args: (folder: string) => readonly string[]) {
    this.port = port;
    this.#args = args(this.#folder);
  }

  /** One that is not started yet, with all that it gets on its command line. */
  static of(port: number, args: (folder: string) => readonly string[]): RedisServer {
    return new RedisServer(port, args);
  }

  /** Starts one; a missing redis-server is a failure, never a skip. */
  static async start(...args: string[]): Promise<RedisServer> {
    return RedisServer.startOn(await freePort(), ...args);
  }

  /** Starts one on a port that has to be chosen, as that of a node of a Cluster. */
  static async startOn(port: number, ...args: string[]): Promise<RedisServer> {
    const own = ['--port', String(port), '--bind', '127.0.0.1', '--save', ''];
    const server = new RedisServer(port, (folder) => [...own, '--dir', folder, ...args]);
    await server.restart();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, again after `kill`, on its port. */
  async restart(): Promise<void> {
    const child = spawn('redis-server', this.#args, { stdio: 'ignore' });
    this.#process = child;
    const failed = new Promise<never>((_, reject) => child.once('error', reject));
    await Promise.race([failed, eventually(() => this.command('PING'))]);
  }

  /** Sends inline commands on a connection of its own; answers the first line, or the one numbered. */
  command(line: string, answer = 0): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.port, '127.0.0.1', () => socket.write(`${line}\r\n`));
      socket.once('data', (data) => {
        socket.destroy();
        resolve(data.toString().split('\r\n')[answer] ?? '');
      });
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('closed without an answer')));
    });
  }

  /** Ends it at once, as a crash would. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  /** Stops it answering, its connections open, until `thaw`. */
  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process?.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
