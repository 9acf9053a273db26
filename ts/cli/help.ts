/** The help: of all commands, and of each. */

import type { Command, Flag } from './command';
import { COMMON, CONNECTION } from './flags';
import type { Terminal } from './terminal';

const INDENT = '  ';

export function helpOfAll(commands: readonly Command[], terminal: Terminal): string {
  const bold = (text: string) => terminal.paint(text, 'bold');
  const rows = commands.map(({ name, summary }): [string, string] => [name, summary]);
  return [
    'Sees and mends a running bus.',
    '',
    `${bold('Usage')}  npx oxbus <command> [options]`,
    '',
    bold('Commands'),
    ...columns(rows),
    '',
    bold('Options of every command'),
    ...flagRows(CONNECTION),
    ...flagRows(COMMON),
    '',
    `'npx oxbus <command> --help' has the options and examples of a command.`,
    'Exit codes: 0 done, 1 failed, 2 wrong use, 3 no server, 4 not found, 5 a right is missing; doctor: 10 warnings, 20 errors.',
  ].join('\n');
}

export function helpOf(command: Command, terminal: Terminal): string {
  const bold = (text: string) => terminal.paint(text, 'bold');
  const words = command.words === undefined ? '' : ` ${command.words}`;
  return [
    command.summary,
    '',
    `${bold('Usage')}  npx oxbus ${command.name}${words} [options]`,
    ...(command.more === undefined ? [] : ['', command.more]),
    ...(Object.keys(command.flags).length === 0
      ? []
      : ['', bold('Options'), ...flagRows(command.flags)]),
    '',
    bold('Options of every command'),
    ...flagRows(CONNECTION),
    ...flagRows(COMMON),
    '',
    bold('Examples'),
    ...command.examples.flatMap(({ line, text }) => [
      `${INDENT}${terminal.paint(`# ${text}`, 'dim')}`,
      `${INDENT}npx oxbus ${line}`,
    ]),
  ].join('\n');
}

function flagRows(flags: Readonly<Record<string, Flag>>): string[] {
  return columns(
    Object.entries(flags).map(([name, { value, short, text }]) => [
      `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` <${value}>`}`,
      text,
    ]),
  );
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `${INDENT}${left.padEnd(width)}  ${right}`);
}
