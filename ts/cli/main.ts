/** `npx oxbus`: finds the command, reads what was given, and exits with what became of it. */

import { parseArgs } from 'node:util';
import type { Command } from './command';
import { COMMANDS } from './commands';
import { EXIT, failureOf, usage } from './failure';
import { COMMON, CONNECTION } from './flags';
import { Flags, type Given } from './given';
import { helpOf, helpOfAll } from './help';
import { Session } from './session';
import { Closed, Terminal } from './terminal';

/** Runs a command line and ends the process. */
export async function main(words: readonly string[]): Promise<void> {
  process.exitCode = await exitCodeOf(words);
  // What somebody left open, such as stdin, does not keep the process.
  process.exit();
}

async function exitCodeOf(words: readonly string[]): Promise<number> {
  const plain = new Terminal({
    json: words.includes('--json'),
    quiet: words.includes('--quiet') || words.includes('-q'),
  });
  try {
    const [first] = words;
    if (first === '--version' || first === '-V') {
      plain.line((require('../../package.json') as { version: string }).version);
      return ended(plain);
    }
    const command = commandOf(words);
    if (command === undefined) return withoutCommand(words, plain);
    return await run(command, words.slice(command.name.split(' ').length), plain);
  } catch (thrown) {
    return failed(plain, thrown);
  }
}

/** The command that the first one or two words name. */
function commandOf(words: readonly string[]): Command | undefined {
  const two = words.slice(0, 2).join(' ');
  return (
    COMMANDS.find(({ name }) => name === two) ?? COMMANDS.find(({ name }) => name === words[0])
  );
}

function withoutCommand(words: readonly string[], terminal: Terminal): number {
  const [first, second] = words;
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${first} `));
  if (first === undefined || first === 'help' || first === '--help' || first === '-h') {
    const named = commandOf(words.slice(1));
    terminal.line(named === undefined ? helpOfAll(COMMANDS, terminal) : helpOf(named, terminal));
    return ended(terminal);
  }
  if (group.length > 0 && (second === undefined || second.startsWith('-'))) {
    terminal.line(helpOfAll(group, terminal));
    return ended(terminal, second === '--help' || second === '-h' ? EXIT.done : EXIT.usage);
  }
  if (first.startsWith('-')) throw usage('name the command first: npx oxbus <command> [options]');
  const known = group.length > 0 ? group : COMMANDS;
  const near = nearest(
    words.slice(0, group.length > 0 ? 2 : 1).join(' '),
    known.map(({ name }) => name),
  );
  throw usage(
    `there is no command '${first}${group.length > 0 ? ` ${second}` : ''}'${near === undefined ? '' : `: did you mean '${near}'?`}`,
  );
}

async function run(command: Command, words: readonly string[], plain: Terminal): Promise<number> {
  const given = read(command, words);
  if (given.flags.has('help')) {
    plain.line(helpOf(command, plain));
    return ended(plain);
  }
  const [least, most] = command.count;
  if (given.words.length < least || given.words.length > most) {
    throw usage(`give: npx oxbus ${command.name} ${command.words ?? ''}`.trimEnd());
  }
  const terminal = new Terminal({ json: given.flags.has('json'), quiet: given.flags.has('quiet') });
  const session = new Session(terminal, given);
  let signals = 0;
  const interrupt = () => {
    signals += 1;
    // Who asks twice does not want to wait for an end in order.
    if (signals > 1) process.exit(EXIT.interrupted);
    session.interrupt();
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  let code: number;
  try {
    code = (await command.run(session, given)) ?? EXIT.done;
    terminal.flush();
  } catch (thrown) {
    code = session.signal.aborted ? ended(terminal, EXIT.interrupted) : failed(terminal, thrown);
  }
  await session.close().catch(() => {});
  return code;
}

function read(command: Command, words: readonly string[]): Given {
  const flags = { ...CONNECTION, ...COMMON, ...command.flags };
  const options = Object.entries(flags).map(([name, { value, short, many }]) => [
    name,
    {
      type: value === undefined ? 'boolean' : 'string',
      ...(short !== undefined && { short }),
      ...(many && { multiple: true }),
    },
  ]);
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      options: Object.fromEntries(options),
      allowPositionals: true,
    });
    return { words: positionals, flags: new Flags(values) };
  } catch (error) {
    const { message } = error as Error;
    const [, unknown] = /Unknown option '-{1,2}([^']+)'/.exec(message) ?? [];
    if (unknown === undefined) throw error;
    const near = nearest(unknown, Object.keys(flags));
    const hint = near === undefined ? '' : `: did you mean --${near}?`;
    throw usage(`'${command.name}' has no option '${unknown}'${hint}`);
  }
}

function ended(terminal: Terminal, code: number = EXIT.done): number {
  terminal.flush();
  return code;
}

function failed(terminal: Terminal, thrown: unknown): number {
  if (thrown instanceof Closed) return EXIT.done;
  const { exit, message } = failureOf(thrown);
  try {
    terminal.fail(message);
  } catch {
    // Nobody reads what was left.
  }
  return exit;
}

/** The name that was meant, if one differs by two letters at the most. */
function nearest(given: string, names: readonly string[]): string | undefined {
  const [best] = names
    .map((name) => ({ name, distance: distanceOf(given, name) }))
    .filter(({ distance }) => distance <= 2)
    .sort((a, b) => a.distance - b.distance);
  return best?.name;
}

function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
