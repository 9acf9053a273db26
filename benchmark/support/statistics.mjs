/** @param {number[]} values */
export function summary(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median =
    sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted.at(-1), values };
}

/** The value that a share of them does not exceed, from 0 to 1. */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * share)];
}

/**
 * How many times better `subject` is than `peer`, round by round: the two of one round ran within
 * seconds of each other, so what disturbed the machine disturbed both.
 */
export function ratio(subject, peer, better) {
  const ratios = subject.flatMap((own, round) => {
    const other = peer[round];
    if (!(own > 0) || !(other > 0)) return [];
    return [better === 'higher' ? own / other : other / own];
  });
  return ratios.length > 0 ? summary(ratios) : undefined;
}
