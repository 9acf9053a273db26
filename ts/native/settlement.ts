/** The numbers of `settle`. `contract.check.d.ts` proves that they are those of the addon's `SettlementCode`. */

/** How a handler call ended. */
export const Settlement = {
  succeeded: 0,
  failed: 1,
  failedFinal: 2,
  retryLater: 3,
  timedOut: 4,
  timedOutFinal: 5,
  timedOutEnded: 6,
  notHandled: 7,
} as const;
