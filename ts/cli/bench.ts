/** `bench`: what this server does, from this machine. */

import { randomUUID } from 'node:crypto';
import { addressOf } from '../doctor/address';
import { Servers } from '../doctor/servers';
import { Progress } from './ask';
import type { Command } from './command';
import { EXIT, usage } from './failure';
import { countOf, secondsOf } from './flags';
import type { Session } from './session';

const [SECONDS, BYTES, BATCH] = [2, 200, 500];

export const bench: Command = {
  name: 'bench',
  summary: 'measures this server for some seconds: live and stored events, and how long one takes',
  count: [0, 0],
  flags: {
    seconds: { value: 'n', text: `for each of the three parts, 0.1–60; default ${SECONDS}` },
    bytes: { value: 'n', text: `of the data of an event; default ${BYTES}` },
  },
  examples: [{ line: 'bench', text: 'some seconds of load: not on a server that is busy' }],
  more: 'It publishes under a channelPrefix of its own, in which nobody listens, and removes the keys that it makes.',
  async run(session, { flags }) {
    const seconds = secondsOf(flags.text('seconds'), SECONDS) / 1000;
    const bytes = countOf('bytes', flags.text('bytes')) ?? BYTES;
    if (bytes > 1 << 20) throw usage('--bytes: must be 1048576 at the most');
    const prefix = `oxbus-bench-${randomUUID()}:`;
    const stream = `{${prefix}}events`;
    try {
      await measure(session, { prefix, stream, seconds, bytes });
    } finally {
      await removed(session, [stream, `${prefix}oxbus:streams`, `${stream}:janitor`]);
    }
    return session.signal.aborted ? EXIT.interrupted : undefined;
  },
};

interface Plan {
  prefix: string;
  stream: string;
  seconds: number;
  bytes: number;
}

async function measure(session: Session, { prefix, stream, seconds, bytes }: Plan): Promise<void> {
  const { EventBusClient } = require('../index') as typeof import('../index');
  const { redis } = await session.config();
  const { terminal, signal } = session;
  const bus = new EventBusClient({
    ...(redis !== undefined && { redis }),
    mode: 'redis',
    serviceName: 'oxbus-cli',
    channelPrefix: prefix,
    logger: false,
    streams: [{ name: stream, events: 'stored', maxLength: 100_000, realtime: false }],
  });
  try {
    await bus.connect();
    const data = { text: 'x'.repeat(bytes) };
    const progress = new Progress(session, 'measuring', 3 * seconds);
    let done = 0;
    const during = async (step: () => Promise<number>) => {
      const began = performance.now();
      let [count, now] = [0, began];
      while (now - began < seconds * 1000 && !signal.aborted) {
        count += await step();
        now = performance.now();
        progress.at(done + (now - began) / 1000);
      }
      done += seconds;
      return Math.round(count / ((now - began) / 1000));
    };
    const batch = (type: string) => {
      const items = Array.from({ length: BATCH }, () => ({ type, data }));
      return async () => {
        const ended = await bus.publishBatch(items);
        const failed = ended.find((one) => one.status === 'rejected');
        if (failed !== undefined) throw failed.reason;
        return BATCH;
      };
    };
    const live = await during(batch('live'));
    const stored = await during(batch('stored'));
    const times: number[] = [];
    await during(async () => {
      const from = performance.now();
      await bus.publish('live', data);
      times.push(performance.now() - from);
      return 1;
    });
    progress.end();
    times.sort((a, b) => a - b);
    const at = (part: number) => Number((times[Math.floor(times.length * part)] ?? 0).toFixed(3));
    const row = {
      bytes,
      livePerSecond: live,
      storedPerSecond: stored,
      p50: at(0.5),
      p99: at(0.99),
    };
    if (terminal.json) {
      terminal.row(row);
      return;
    }
    terminal.line(
      `live events    ${row.livePerSecond} a second, ${bytes} bytes each, in batches of ${BATCH}`,
    );
    terminal.line(`stored events  ${row.storedPerSecond} a second`);
    terminal.line(`one publish    ${row.p50} ms at the median, ${row.p99} ms of 99 in 100`);
  } finally {
    await bus.disconnect({ timeout: 5000 });
  }
}

async function removed(session: Session, keys: readonly string[]): Promise<void> {
  const address = addressOf(await session.config(), process.env);
  if (address === undefined) return;
  const servers = await Servers.open(address).catch(() => undefined);
  if (servers === undefined) {
    session.terminal.note(`these keys may be left: ${keys.join(', ')}`);
    return;
  }
  try {
    for (const key of keys) await servers.ask('UNLINK', key);
  } finally {
    servers.close();
  }
}
