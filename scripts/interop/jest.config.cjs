'use strict';

const { join } = require('node:path');
const own = require('../../jest.config.js');

/** The tests beside the software of others: those that npm test has, and those that take longer. */
module.exports = {
  ...own,
  rootDir: join(__dirname, '..', '..'),
  roots: ['<rootDir>/__test__/interop'],
  testMatch: ['**/*.test.ts', '**/*.interop.ts'],
};
