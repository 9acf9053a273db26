/** The native client of a client. */

import { callOutside } from '../handle/current-event';
import { type NativeBroker, type NativeClient, native } from '../native/native';
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

function drainOf(core: WeakRef<Drained>): () => void {
  return () => void core.deref()?.drain();
}
