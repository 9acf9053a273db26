/** `completion`: what a shell needs to complete commands and flags. */

import type { Command, Flag } from './command';
import { usage } from './failure';
import { COMMON, CONNECTION } from './flags';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** `all` are the commands but this one, as this file cannot ask for the list that it is in. */
export const completionOf = (all: readonly Command[]): Command => ({
  name: 'completion',
  summary: 'the completion of commands and options, for bash, zsh or fish',
  words: '<bash|zsh|fish>',
  count: [1, 1],
  flags: {},
  examples: [
    { line: 'completion bash > ~/.local/share/bash-completion/completions/oxbus', text: 'bash' },
    { line: 'completion zsh > ~/.zfunc/_oxbus', text: 'zsh, with ~/.zfunc in fpath' },
    { line: 'completion fish > ~/.config/fish/completions/oxbus.fish', text: 'fish' },
  ],
  async run(session, { words }) {
    const shell = SHELLS.find((one) => one === words[0]);
    if (shell === undefined) throw usage(`give one of ${SHELLS.join(', ')}`);
    const text = { bash, zsh, fish }[shell](all);
    session.terminal.lines(`${text}\n`);
    return undefined;
  },
});

const flagsOf = ({ flags }: Pick<Command, 'flags'>): [string, Flag][] =>
  Object.entries({ ...flags, ...CONNECTION, ...COMMON });

/** The first words, each once, and the second words of those that have some. */
function tree(commands: readonly Command[]): Map<string, string[]> {
  const words = new Map<string, string[]>();
  for (const { name } of commands) {
    const [first = '', second] = name.split(' ');
    words.set(first, [...(words.get(first) ?? []), ...(second === undefined ? [] : [second])]);
  }
  return words;
}

const dashed = (command: Command) => flagsOf(command).map(([name]) => `--${name}`);

function bash(commands: readonly Command[]): string {
  const words = tree(commands);
  const cases = commands.map((one) => `    '${one.name}') flags='${dashed(one).join(' ')}' ;;`);
  const seconds = [...words]
    .filter(([, list]) => list.length > 0)
    .map(([first, list]) => `    ${first}) words='${list.join(' ')}' ;;`);
  return `# oxbus completion bash
_oxbus() {
  local current="\${COMP_WORDS[COMP_CWORD]}" first="\${COMP_WORDS[1]}" second="\${COMP_WORDS[2]}" words='' flags=''
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${[...words.keys()].join(' ')}' -- "$current"))
    return
  fi
  case "$first" in
${seconds.join('\n')}
  esac
  case "$first $second" in
${cases.filter((line) => / '\w+ \w+'\)/.test(line)).join('\n')}
  esac
  if [ -z "$flags" ]; then
    case "$first" in
${cases.filter((line) => !/ '\w+ \w+'\)/.test(line)).join('\n')}
    esac
  fi
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$current")) ;;
    *) [ "$COMP_CWORD" -eq 2 ] && COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
  esac
}
complete -F _oxbus oxbus`;
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

function zsh(commands: readonly Command[]): string {
  const words = tree(commands);
  const told = [...words.keys()].map((first) => {
    const one = commands.find(({ name }) => name === first);
    return quoted(`${first}:${(one?.summary ?? 'commands about them').replaceAll(':', '\\:')}`);
  });
  const cases = commands.map((one) => {
    const specs = flagsOf(one).map(([name, { value, text }]) => {
      const plain = text.replace(/[[\]:]/g, '\\$&');
      return quoted(
        `--${name}[${plain}]${value === undefined ? '' : `:${value.replace(/[:@]/g, '\\$&')}:`}`,
      );
    });
    return `    ${quoted(one.name)}) _arguments ${specs.join(' ')} ;;`;
  });
  const seconds = [...words]
    .filter(([, list]) => list.length > 0)
    .map(([first, list]) => `    ${first}) (( CURRENT == 3 )) && compadd -- ${list.join(' ')} ;;`);
  const isPair = (line: string) => /^ {4}'\w+ \w+'\)/.test(line);
  return `#compdef oxbus
# oxbus completion zsh
_oxbus() {
  if (( CURRENT == 2 )); then
    local -a commands=(${told.join(' ')})
    _describe command commands
    return
  fi
  case "$words[2]" in
${seconds.join('\n')}
  esac
  case "$words[2] $words[3]" in
${cases.filter(isPair).join('\n')}
    *) case "$words[2]" in
${cases.filter((line) => !isPair(line)).join('\n')}
    esac ;;
  esac
}
if [ "$funcstack[1]" = _oxbus ]; then _oxbus "$@"; else compdef _oxbus oxbus; fi`;
}

function fish(commands: readonly Command[]): string {
  const words = tree(commands);
  const firsts = [...words.keys()].map((first) => {
    const one = commands.find(({ name }) => name === first);
    const told = one?.summary ?? 'commands about them';
    return `complete -c oxbus -n __fish_use_subcommand -a ${first} -d ${quoted(told)}`;
  });
  const seconds = commands.flatMap(({ name, summary }) => {
    const [first, second] = name.split(' ');
    return second === undefined
      ? []
      : [
          `complete -c oxbus -n '__fish_seen_subcommand_from ${first}' -a ${second} -d ${quoted(summary)}`,
        ];
  });
  const flags = commands.flatMap((one) => {
    const seen = one.name
      .split(' ')
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join('; and ');
    return flagsOf(one).map(([name, { value, text, short }]) =>
      [
        `complete -c oxbus -n '${seen}' -l ${name}`,
        ...(short === undefined ? [] : [`-s ${short}`]),
        ...(value === undefined ? [] : ['-r']),
        `-d ${quoted(text)}`,
      ].join(' '),
    );
  });
  return ['# oxbus completion fish', 'complete -c oxbus -f', ...firsts, ...seconds, ...flags].join(
    '\n',
  );
}
