'use strict';

// `setupFilesAfterEnv: ['oxbus/jest']`: adds the matchers. Jest itself resolves this name.
const { expect } = require('@jest/globals');
const { matchers } = require('./testing.js');

expect.extend(matchers);
