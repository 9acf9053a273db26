/** A master with a replica, watched by three sentinels; all real, and all on the loopback interface. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually';
import { freePort, RedisServer } from './redis-server';

const NAME = 'mymaster';
const HOW_MANY = 3;

export class SentinelSet {
  readonly name = NAME;
  readonly master: RedisServer;
  readonly replica: RedisServer;
  readonly #ports: number[] = [];
  readonly #processes: ChildProcess[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), 'oxbus-sentinels-'));

  private constructor(master: RedisServer, replica: RedisServer) {
    this.master = master;
    this.replica = replica;
  }

  /** Starts all of it, and waits until everybody knows everybody. */
  static async start(): Promise<SentinelSet> {
    const master = await RedisServer.start();
    const replica = await RedisServer.start('--replicaof', '127.0.0.1', String(master.port));
    const set = new SentinelSet(master, replica);
    for (let at = 0; at < HOW_MANY; at += 1) await set.#startSentinel();
    await eventually(async () => {
      for (const port of set.#ports) {
        const facts = await ask(port, `SENTINEL MASTER ${NAME}`);
        if (facts['num-slaves'] !== '1' || facts['num-other-sentinels'] !== String(HOW_MANY - 1)) {
          throw new Error('not all know each other');
        }
      }
    }, 30_000);
    return set;
  }

  get nodes(): string[] {
    return this.#ports.map((port) => `127.0.0.1:${port}`);
  }

  /** Makes the replica the master. */
  async failOver(): Promise<void> {
    const [port = 0] = this.#ports;
    await eventually(async () => {
      const [answer] = await lines(port, `SENTINEL FAILOVER ${NAME}`);
      if (answer !== '+OK') throw new Error(answer);
    }, 30_000);
  }

  async stop(): Promise<void> {
    for (const process of this.#processes) {
      const ended = new Promise((resolve) => process.once('exit', resolve));
      process.kill('SIGKILL');
      await ended;
    }
    await Promise.all([this.master.stop(), this.replica.stop()]);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #startSentinel(): Promise<void> {
    const port = await freePort();
    const config = join(this.#folder, `${port}.conf`);
    const settings = [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${this.#folder}`,
      `sentinel monitor ${NAME} 127.0.0.1 ${this.master.port} 2`,
      `sentinel down-after-milliseconds ${NAME} 1000`,
      `sentinel failover-timeout ${NAME} 3000`,
    ];
    writeFileSync(config, settings.join('\n'));
    const child = spawn('redis-server', [config, '--sentinel'], { stdio: 'ignore' });
    this.#processes.push(child);
    this.#ports.push(port);
    await eventually(() => lines(port, 'PING'));
  }
}

function lines(port: number, command: string): Promise<string[]> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.end(`${command}\r\n`));
    socket.on('data', (data) => {
      text += data.toString();
    });
    socket.once('end', () => resolve(text.split('\r\n')));
    socket.once('error', reject);
  });
}

/** The answer to a command as names and values. */
async function ask(port: number, command: string): Promise<Record<string, string>> {
  const texts = (await lines(port, command)).filter((line) => !/^[$*]\d+$/.test(line));
  const pairs = texts.flatMap((name, at) => (at % 2 === 0 ? [[name, texts[at + 1] ?? '']] : []));
  return Object.fromEntries(pairs);
}
