// `node scripts/soak/decoding.mjs [--texts 100000] [--seed n] [--redis url]`: whether handlers get what JSON.parse makes of so
// many JSON texts, in memory or on a server. It prints sums as JSON, and fails with the first differences on stderr.

import { parseArgs } from 'node:util';
import { compareDecoding } from './decoding/compare.mjs';

const { values } = parseArgs({
  options: {
    texts: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    redis: { type: 'string' },
  },
});
const transport = values.redis === undefined ? { mode: 'memory' } : { redis: values.redis };
const { texts, seed } = values;
const { problems, sums } = await compareDecoding({
  texts: Number(texts),
  seed: Number(seed),
  transport,
});
console.log(JSON.stringify(sums));
for (const problem of problems) console.error(`with seed ${seed}, ${problem}`);
if (problems.length > 0) process.exitCode = 1;
