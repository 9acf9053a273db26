/** Showing something once, or again and again. */

import { setTimeout as delay } from 'node:timers/promises';
import { EXIT } from './failure';
import type { Given } from './given';
import type { Session } from './session';

/** Between two looks, in ms. */
const EVERY = 2000;

/** Calls `show`, and with `--watch` again until Ctrl-C; on a terminal each replaces the one before. */
export async function showing(
  session: Session,
  { flags }: Given,
  show: () => Promise<void>,
): Promise<number | undefined> {
  const { terminal, signal } = session;
  if (!flags.has('watch')) {
    await show();
    return undefined;
  }
  while (!signal.aborted) {
    if (terminal.isInteractive && !terminal.json) terminal.lines('\x1b[H\x1b[J');
    await show();
    terminal.flush();
    await delay(EVERY, undefined, { signal }).catch(() => {});
  }
  return EXIT.interrupted;
}
