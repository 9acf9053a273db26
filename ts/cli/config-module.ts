/**
 * Imports a configuration that is a program. With `import` and `export` it may be in a package of CommonJS, as `npm init` makes
 * them: compilers and test runners take that, while Node.js goes by the `type` of the package.
 */

import { existsSync, readFileSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { compileFunction } from 'node:vm';

/** What to do about a file that this Node.js takes for CommonJS. */
export const ADVICE =
  'it has import or export, and its package.json says "type": "commonjs". Name it oxbus.config.mjs (TypeScript: oxbus.config.mts), or use module.exports, or set "type": "module"';

/** Whether a file with `import` or `export` was read as CommonJS. */
export const isModuleAsScript = (error: unknown): boolean =>
  error instanceof SyntaxError &&
  /Unexpected token 'export'|Cannot use import statement|Cannot use 'import\.meta'/.test(
    error.message,
  );

/** What the file exports. From Node.js 22.15 on, files with `import` or `export` are modules here, whatever their package says. */
export async function imported(path: string): Promise<Record<string, unknown>> {
  const hooks = nodeModule as { registerHooks?: (hooks: object) => { deregister(): void } };
  // Node.js would fail with this, and warn in three lines besides.
  if (hooks.registerHooks === undefined && isRefused(path)) throw new SyntaxError(NO_MODULE);
  const registered = hooks.registerHooks?.({ load });
  try {
    return await import(pathToFileURL(path).href);
  } finally {
    registered?.deregister();
  }
}

const NO_MODULE = 'Cannot use import statement outside a module';

function isRefused(path: string): boolean {
  if (extname(path) !== '.js' || typeOf(dirname(path)) !== 'commonjs') return false;
  return isModule(readFileSync(path, 'utf8'), '.js');
}

/** The `type` of the package that a folder belongs to. */
function typeOf(folder: string): unknown {
  const path = join(folder, 'package.json');
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')).type;
  return dirname(folder) === folder ? undefined : typeOf(dirname(folder));
}

/** The hook of Node.js that reads a file: one of the user that is a module is read as such. */
function load(url: string, context: object, next: (url: string, context: object) => object) {
  const [, extension] = /^file:.*(\.[jt]s)$/.exec(url) ?? [];
  if (extension === undefined || url.includes('/node_modules/')) return next(url, context);
  const source = readFileSync(fileURLToPath(url), 'utf8');
  if (!isModule(source, extension)) return next(url, context);
  const format = extension === '.ts' ? 'module-typescript' : 'module';
  return { format, source, shortCircuit: true };
}

function isModule(source: string, extension: string): boolean {
  if (extension === '.ts') {
    const isScript = /\bmodule\.exports\b|^\s*export\s*=/m.test(source);
    return !isScript && /^\s*(?:import\b(?!\s*\()|export\b)/m.test(source);
  }
  try {
    compileFunction(source, ['exports', 'require', 'module', '__filename', '__dirname']);
    return false;
  } catch (error) {
    return isModuleAsScript(error);
  }
}
