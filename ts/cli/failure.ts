/** What a command fails with: one line for people, and the code that the process exits with. */

/** The exit codes, which docs/cli.md explains. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  notFound: 4,
  denied: 5,
  warning: 10,
  error: 20,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export class Failure extends Error {
  readonly exit: ExitCode;

  constructor(exit: ExitCode, message: string) {
    super(message);
    this.exit = exit;
  }
}

export const usage = (message: string): Failure => new Failure(EXIT.usage, message);
export const notFound = (message: string): Failure => new Failure(EXIT.notFound, message);

const CODES: Readonly<Record<string, ExitCode>> = {
  CONNECTION_REFUSED: EXIT.unreachable,
  CONNECTION_LOST: EXIT.unreachable,
  CONNECT_TIMEOUT: EXIT.unreachable,
  AUTH_FAILED: EXIT.unreachable,
  TLS_FAILED: EXIT.unreachable,
  NOT_MASTER: EXIT.unreachable,
  CLUSTER_MODE: EXIT.unreachable,
  PERMISSION_DENIED: EXIT.denied,
  SUBSCRIBE_DENIED: EXIT.denied,
  NO_STREAM: EXIT.notFound,
  NO_GROUP: EXIT.notFound,
  INVALID_CONFIG: EXIT.usage,
  INVALID_OPTIONS: EXIT.usage,
  INVALID_PATTERN: EXIT.usage,
  INVALID_TYPE: EXIT.usage,
  INVALID_DATA: EXIT.usage,
  EVENT_TOO_LARGE: EXIT.usage,
  WRONG_TYPE: EXIT.usage,
};

/** The failure that a thrown value stands for. */
export function failureOf(thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const code = 'code' in error ? String(error.code).replace(/^ERR_BUS_/, '') : '';
  const [first = ''] = error.message.split('\n');
  const line = first === '' ? error.name : first;
  const exit = CODES[code] ?? (code.startsWith('ERR_PARSE_ARGS') ? EXIT.usage : EXIT.failed);
  return new Failure(exit, exit === EXIT.denied ? `${line}${hint(line)}` : line);
}

/** The rule that gives the right which a server has named. */
function hint(message: string): string {
  const [, command] = /run the '([^']+)' command/i.exec(message) ?? [];
  if (command !== undefined) return `; allow it: ACL SETUSER <user> +${command}`;
  if (/channel/i.test(message)) return '; allow the channel: ACL SETUSER <user> &<channel>';
  return /key/i.test(message) ? '; allow the key: ACL SETUSER <user> ~<key>' : '';
}
