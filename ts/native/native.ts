/**
 * The addon, and the values that cross to it (`docs/design/boundary.md`). Their types are generated from the Rust code;
 * only `load.ts` touches it beside this file.
 */

import type { ErrorCategory, ErrorCode } from '../../index';
import type * as Addon from '../../native';
import { loadAddon, type NativeModule } from './load';

export type {
  ErrorValue,
  NativeBroker,
  NativeClient,
  Notice,
  RunInfo,
  Settings,
  Subscribed,
} from '../../native';

export type { NativeModule };

export const native: NativeModule = loadAddon();

/** The result of a native function that can fail, as JSON. */
export type NativeResult<T> = { ok: T; error?: undefined } | { error: Addon.ErrorValue };

/** `[code, category, retryable]` of every error. */
export type ErrorRow = [ErrorCode, ErrorCategory, boolean];

/** Whom an event is for, when it is not for those who subscribe to its type. */
export type Recipients = 'broadcast' | { room: unknown; except?: unknown } | { user: unknown };

/** The first argument of a handler: an event, or the events of a batch. */
export type HandlerInput = RawEvent | RawEvent[];

/** An event as it comes in. The engine has filled in what every event has. */
export interface RawEvent {
  id: string;
  type: string;
  data: unknown;
  metadata: { timestamp: string; source: string; correlationId: string; [extra: string]: unknown };
}
