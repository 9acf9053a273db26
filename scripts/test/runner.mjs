// Steps of tests: runs programs with their output on ours, and counts what they say of their tests.

import { spawn } from 'node:child_process';
import { availableParallelism, constants, setPriority } from 'node:os';
import { delimiter, dirname } from 'node:path';
import { root } from '../prepare.mjs';
import { failuresOf, retold } from './failures.mjs';

const STEP_LIMIT_MS = 15 * 60_000;
const BESIDE_LIMIT_MS = 25 * 60_000;

// Everything goes to stdout: two pipes could be merged out of order, and the last line must be last.
export const print = (text) => process.stdout.write(text);

/** Runs a program with its output on ours; resolves to the exit code and the text. */
export const execute = (command, args, env = {}) =>
  executeWith(command, args, { env, onText: print, limitMs: STEP_LIMIT_MS });

/**
 * Runs a program beside the steps, with the time that they leave, and shows nothing; resolves to
 * the exit code and the text.
 */
export const executeBeside = (command, args) =>
  executeWith(command, args, {
    limitMs: BESIDE_LIMIT_MS,
    priority: constants.priority.PRIORITY_LOW,
  });

function executeWith(command, args, { env = {}, onText = () => {}, limitMs, priority }) {
  return new Promise((resolve) => {
    const windows = process.platform === 'win32';
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: windows,
      detached: !windows,
    });
    let text = '';
    let limitReached = false;
    const limit = setTimeout(() => {
      limitReached = true;
      // The whole group: a test runner left alone would keep our pipes open.
      if (windows) child.kill();
      else process.kill(-child.pid, 'SIGKILL');
    }, limitMs);
    // Its own children inherit it. A program that could not be started has no id.
    if (priority !== undefined && child.pid !== undefined) setPriority(child.pid, priority);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (chunk) => {
        text += chunk;
        onText(chunk);
      });
    }
    child.on('error', (error) => {
      clearTimeout(limit);
      onText(`${error.message}\n`);
      resolve({ code: 1, text: `${text}${error.message}\n` });
    });
    child.on('close', (code) => {
      clearTimeout(limit);
      const ended = limitReached ? `\nended after ${limitMs / 60_000} minutes\n` : '';
      onText(ended);
      resolve({ code: code ?? 1, text: text + ended });
    });
  });
}

const escapes = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

function sum(text, pattern) {
  let total = 0;
  for (const match of text.replace(escapes, '').matchAll(pattern)) total += Number(match[1]);
  return total;
}

/** A check without tests of its own counts as one. */
export const single = ({ code }) =>
  code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };

/** Counts a test run; failing without a failed test, or running none, is one failure. */
function counted(passedPattern, failedPattern) {
  return ({ code, text }) => {
    const passed = sum(text, passedPattern);
    const failed = sum(text, failedPattern);
    if (code === 0 && passed === 0) print('\nno test ran\n');
    const unexplained = failed === 0 && (code !== 0 || passed === 0) ? 1 : 0;
    return { passed, failed: failed + unexplained };
  };
}

export const cargoTests = counted(
  /^test result: \w+\. (\d+) passed/gm,
  /^test result: \w+\. \d+ passed; (\d+) failed/gm,
);
export const nodeTests = counted(/^# pass (\d+)/gm, /^# fail (\d+)/gm);
export const fixtureTests = counted(/^(\d+) passed, \d+ failed/gm, /^\d+ passed, (\d+) failed/gm);
export const jestTests = counted(/^Tests:.*?(\d+) passed/gm, /^Tests:.*?(\d+) failed/gm);

/** The variables by which every test finds a server. */
export function serverEnvironment(redisServer) {
  return {
    OXBUS_REDIS_SERVER: redisServer,
    // The name that crates/testkit knows.
    OXBUS_TEST_REDIS_SERVER: redisServer,
    PATH: `${dirname(redisServer)}${delimiter}${process.env.PATH}`,
    // Most Rust tests wait for a server most of the time, so a core runs three at once, of which some have a cluster of three servers.
    RUST_TEST_THREADS: process.env.RUST_TEST_THREADS ?? String(3 * availableParallelism()),
  };
}

/** Runs steps of a name, a body and a count, one after the other. Resolves to their results. */
export async function runSteps(steps) {
  const results = [];
  for (const [name, body, count] of steps) {
    print(`\n=== ${name}\n`);
    const started = Date.now();
    const output = await body();
    const result = count(output);
    const failures = result.failed > 0 ? failuresOf(output.text) : [];
    results.push({ name, ...result, failures, seconds: Math.round((Date.now() - started) / 1000) });
  }
  for (const { name, failures } of results) print(retold(name, failures));
  print('\n');
  for (const { name, passed, failed, seconds } of results) {
    print(
      `${failed > 0 ? 'FAILED' : 'ok    '}  ${name}: ${passed} passed, ${failed} failed (${seconds} s)\n`,
    );
  }
  return results;
}

/** The last line of the output, and the exit code. */
export function conclude(results) {
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  print(`${sum('passed')} passed, ${sum('failed')} failed\n`);
  process.exitCode = sum('failed') > 0 ? 1 : 0;
}
