/** `doctor`: what is wrong with a running bus. */

import type { DoctorFinding } from '../../index';
import { configCode } from '../doctor/proposal';
import type { Command } from './command';
import { EXIT } from './failure';
import { countOf, secondsOf } from './flags';
import { shown } from './table';

const SECONDS = 3;
const COLOURS = { error: 'red', warning: 'yellow', info: 'dim' } as const;

export const doctor: Command = {
  name: 'doctor',
  summary: 'looks at a running bus for some seconds, changes nothing, and says what to do',
  count: [0, 0],
  flags: {
    seconds: {
      value: 'n',
      text: `how long live events are listened to, 0.1–60; default ${SECONDS}`,
    },
    scan: { text: 'also look for streams that nobody has registered, at 100 000 keys at the most' },
    'sample-bytes': {
      value: 'n',
      text: 'the most bytes of live events that are looked at; default 1048576',
    },
    user: { value: 'name', text: 'whose rights are looked at; needs +acl|dryrun' },
  },
  examples: [
    { line: 'doctor', text: 'a look of three seconds' },
    { line: 'doctor --seconds 30 --scan', text: 'a longer one, at all streams' },
    { line: 'doctor --user bus', text: 'the rights of the user of the services' },
  ],
  more: 'Exit code: 0, or 10 if the worst finding is a warning, or 20 if it is an error.',
  async run(session, { flags }) {
    const { terminal, signal } = session;
    const config = await session.config();
    const { EventBusClient } = require('../index') as typeof import('../index');
    const { redis, channelPrefix, streams, deadLetter } = config;
    const given = Object.entries({ redis, channelPrefix, streams, deadLetter });
    const bus = new EventBusClient({
      ...Object.fromEntries(given.filter(([, value]) => value !== undefined)),
      mode: 'redis',
      logger: false,
      serviceName: 'oxbus-cli',
    });
    const duration = secondsOf(flags.text('seconds'), SECONDS);
    terminal.note(`looking for ${duration / 1000} s`);
    const report = await bus.doctor({
      duration,
      scan: flags.has('scan'),
      sampleBytes: countOf('sample-bytes', flags.text('sample-bytes')),
      user: flags.text('user'),
      signal,
    });
    if (terminal.json) {
      for (const finding of report.findings) terminal.row(finding);
      terminal.row({ worst: report.worst, config: report.config });
    } else {
      const show = ({ severity, code, message, advice }: DoctorFinding) => {
        const mark = terminal.paint(severity.padEnd(7), COLOURS[severity]);
        terminal.line(`${mark} ${terminal.paint(code, 'bold')}  ${shown(message)}`);
        if (advice !== 'nothing to do') terminal.line(`        → ${shown(advice)}`);
      };
      for (const finding of report.findings) show(finding);
      terminal.line('');
      terminal.line(configCode(report.config));
    }
    if (signal.aborted) return EXIT.interrupted;
    return { error: EXIT.error, warning: EXIT.warning, info: EXIT.done }[report.worst];
  },
};
