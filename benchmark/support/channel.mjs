/** Event type and channel of every benchmark; the pattern subscriptions are on `PATTERN`. */
export const CHANNEL = 'bench.order.shipped';
export const PATTERN = 'bench.*';
