// `setupFiles: ['oxbus/vitest']`: adds the matchers.
import { expect } from 'vitest';
import { matchers } from './testing.js';

expect.extend(matchers);
