/*
 * `oxbus/vitest`: adds the matchers of `oxbus/testing` to `expect` of Vitest, with their types.
 */

import 'vitest';
import type { BusMatchers } from './testing.js';

declare module 'vitest' {
  // biome-ignore lint/suspicious/noExplicitAny: the same
  interface Assertion<T = any> extends BusMatchers<void> {}
}
