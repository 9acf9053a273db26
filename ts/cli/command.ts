/** What a command is: help, completion and reading its arguments all go by this. */

import type { Given } from './given';
import type { Session } from './session';

export interface Flag {
  /** What stands for the value in the help; without it the flag is a switch. */
  readonly value?: string;
  readonly text: string;
  readonly short?: string;
  /** May be given several times. */
  readonly many?: true;
}

export interface Example {
  readonly line: string;
  readonly text: string;
}

export interface Command {
  /** One word, or two of them: `dlq list`. */
  readonly name: string;
  readonly summary: string;
  /** Its words, as the help shows them, such as `<stream> [group]`. */
  readonly words?: string;
  /** How many of them there may be. */
  readonly count: readonly [least: number, most: number];
  readonly flags: Readonly<Record<string, Flag>>;
  readonly examples: readonly Example[];
  /** Further text of the help. */
  readonly more?: string;
  /** Resolves to the exit code; undefined is 0. */
  run(session: Session, given: Given): Promise<number | undefined>;
}
