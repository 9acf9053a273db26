'use strict';

/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/__test__'],
  testMatch: ['**/*.test.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'commonjs' } },
    ],
  },
  // More than what a test waits for may take, so that it is the condition that is told.
  testTimeout: 60_000,
  // Each file starts a server of its own; two cores serve no more of them at once.
  maxWorkers: 2,
};
