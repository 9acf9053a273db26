/** The native client of a client. */

import { callOutside } from '../handle/current-event';
import { type NativeBroker, type NativeClient, native } from '../native/native';
import { setImmediate } from '../runtime/clock';
import type { ReadConfig } from './config';

/** What is called when the engine has something to tell. */
interface Drained {
  drain(): boolean;
}

/**
 * The native client refers to its core only weakly: a client that its user drops is collected, and its connections
 * close. This is a function of its own so that the callback shares no scope with the core.
 */
export function openNative(
  core: Drained,
  config: ReadConfig,
  broker: NativeBroker | null,
): NativeClient {
  const wake = drainOf(new WeakRef(core));
  // On Node 20 and 22 the client keeps the context that it is made in.
  return callOutside(() => new native.NativeClient(config.json, config.env, broker, wake));
}

/**
 * Node makes up to a thousand calls from other threads before it goes on with its event loop, and a drain is followed by the next
 * one while events wait. So there is one drain in a turn of the loop, and timers and sockets have their turn as well: at a flood of
 * small events they stood still for 0.9 s.
 */
function drainOf(core: WeakRef<Drained>): () => void {
  let drained = false;
  let waits = false;
  const nextTurn = () => {
    drained = false;
    if (!waits) return;
    waits = false;
    wake();
  };
  const wake = () => {
    waits = drained;
    if (drained) return;
    drained = true;
    setImmediate(nextTurn);
    core.deref()?.drain();
  };
  return wake;
}
