/** What a look at a bus has found. */

import type { DoctorFinding } from '../../index';

export type Finding = DoctorFinding;

/** The worst of them; `'info'` where there is none. */
export function worstOf(findings: readonly Finding[]): Finding['severity'] {
  const has = (severity: Finding['severity']) => findings.some((one) => one.severity === severity);
  return has('error') ? 'error' : has('warning') ? 'warning' : 'info';
}

const ORDER = { error: 0, warning: 1, info: 2 };

/** The worst first, else in the order in which they were found. */
export const sorted = (findings: readonly Finding[]): Finding[] =>
  [...findings].sort((a, b) => ORDER[a.severity] - ORDER[b.severity]);
