/** All commands, in the order of the help. */

import { bench } from './bench';
import type { Command } from './command';
import { completionOf } from './completion';
import { consumers } from './consumers';
import { dlqList } from './dlq-list';
import { dlqPurge } from './dlq-purge';
import { dlqRemove } from './dlq-remove';
import { dlqReplay } from './dlq-replay';
import { dlqShow } from './dlq-show';
import { doctor } from './doctor';
import { groupMove } from './group-move';
import { groups } from './groups';
import { history } from './history';
import { pending } from './pending';
import { publish } from './publish';
import { replay } from './replay';
import { streams } from './streams';
import { tail } from './tail';
import { trim } from './trim';

const OTHERS: readonly Command[] = [
  tail,
  publish,
  streams,
  groups,
  groupMove,
  consumers,
  pending,
  dlqList,
  dlqShow,
  dlqReplay,
  dlqRemove,
  dlqPurge,
  replay,
  history,
  trim,
  doctor,
  bench,
];

export const COMMANDS: readonly Command[] = [...OTHERS, completionOf(OTHERS)];
