/*
 * `oxbus/jest`: adds the matchers of `oxbus/testing` to `expect` of Jest, with their types; both to the global one
 * (`@types/jest`) and to that of `@jest/globals`.
 */

import type { BusMatchers } from './testing';

declare global {
  namespace jest {
    // biome-ignore lint/complexity/noBannedTypes: the same
    interface Matchers<R, T = {}> extends BusMatchers<R> {}
  }
}

declare module 'expect' {
  interface Matchers<R extends void | Promise<void>, T = unknown> extends BusMatchers<R> {}
}
