/** Loads the addon, or says in one line what keeps it from being loaded. */

import type { ErrorCategory, ErrorCode } from '../../index';
import type * as Addon from '../../native';

/** The addon, without what only its types need. */
export type NativeModule = Omit<typeof Addon, '__napiBindingTarget' | 'SettlementCode'>;

/** Node.js tells by this code that the process may load no addon. */
const DISABLED = 'ERR_DLOPEN_DISABLED';

/** The systems that the addon is built for. A test compares them with package.json. */
export const PLATFORMS = [
  'linux-x64-gnu',
  'linux-arm64-gnu',
  'linux-x64-musl',
  'linux-arm64-musl',
  'darwin-x64',
  'darwin-arm64',
  'win32-x64-msvc',
  'win32-arm64-msvc',
];

/** As the exported class of this name, which cannot be made without the addon: its table of codes is there. */
class ResourceError extends Error {
  override readonly name = 'ResourceError';
  readonly code = 'ERR_BUS_ADDON_UNAVAILABLE' satisfies ErrorCode;
  readonly category = 'resource' satisfies ErrorCategory;
  readonly retryable = false;
}

/** The addon. Throws an `ResourceError` when it is missing, is of another version, or cannot be loaded. */
export function loadAddon(): NativeModule {
  const { version } = require('../../package.json') as { version: string };
  let addon: Partial<NativeModule>;
  try {
    addon = require('#native');
  } catch (thrown) {
    throw unavailable(version, thrown);
  }
  const found = addon.version?.() ?? 'an earlier version';
  if (found === version) return addon as NativeModule;
  const file = fileOf(addon);
  throw new ResourceError(
    `oxbus ${version} has found the native addon of another version, ${found}${file}: install both of one version`,
  );
}

function unavailable(version: string, thrown: unknown): ResourceError {
  const { platform, described, untold } = thisSystem();
  if (untold !== undefined) {
    const message = `oxbus cannot tell which native addon it needs on ${described}: ${firstLine(untold)}`;
    return new ResourceError(message, { cause: thrown });
  }
  if (platform === undefined) {
    const known = PLATFORMS.join(', ');
    return new ResourceError(`oxbus has no native addon for ${described}; it has one for ${known}`);
  }
  const failures = failuresOf(platform);
  const disabled = failures.find(({ code }) => code === DISABLED);
  if (disabled !== undefined) {
    const message = `oxbus has a native addon, and this process may load none: ${forbidding()}`;
    return new ResourceError(message, { cause: disabled });
  }
  const failure = failures.find(({ code }) => code !== 'MODULE_NOT_FOUND');
  if (failure !== undefined) {
    const message = `oxbus cannot load its native addon for ${described}: ${firstLine(failure)}`;
    return new ResourceError(message, { cause: failure });
  }
  if (failures.length === 0) {
    return new ResourceError('oxbus cannot load its native addon', { cause: thrown });
  }
  const missing = `oxbus cannot find its native addon for ${described}: the package oxbus-${platform}@${version} is not installed`;
  return new ResourceError(`${missing}${hint(platform)}`);
}

/** Loads the addon once more from each place: the loader of napi, which knows more of them, does not tell the codes of errors. */
function failuresOf(platform: string): NodeJS.ErrnoException[] {
  const given = process.env.NAPI_RS_NATIVE_LIBRARY_PATH;
  const packaged = [`../../oxbus.${platform}.node`, `oxbus-${platform}`];
  const failures: NodeJS.ErrnoException[] = [];
  for (const place of given === undefined ? packaged : [given]) {
    try {
      require(place);
    } catch (thrown) {
      failures.push(thrown as NodeJS.ErrnoException);
    }
  }
  return failures;
}

/** The option that forbids addons, and what to do about it. */
function forbidding(): string {
  const options = [...process.execArgv, ...(process.env.NODE_OPTIONS ?? '').split(/\s+/)];
  if (options.includes('--no-addons')) return 'start it without --no-addons';
  if ('permission' in process) return 'start it with --allow-addons beside --permission';
  return 'addons are disabled';
}

interface System {
  /** The name that the addon has, if it is built for this system. */
  platform?: string;
  /** The system in words. */
  described: string;
  /** Why the system cannot be told, such as that Deno does not allow it. */
  untold?: Error;
}

function thisSystem(): System {
  const { platform, arch } = process;
  let libc: string | undefined;
  try {
    if (platform === 'linux') libc = libcOf();
  } catch (thrown) {
    return { described: `${platform} ${arch}`, untold: thrown as Error };
  }
  const abi = platform === 'win32' ? 'msvc' : libc?.startsWith('glibc') ? 'gnu' : libc;
  const name = [platform, arch, ...(abi === undefined ? [] : [abi])].join('-');
  const described = `${platform} ${arch}${libc === undefined ? '' : ` (${libc})`}`;
  return PLATFORMS.includes(name) ? { platform: name, described } : { described };
}

/** Only glibc tells its version. */
function libcOf(): string {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } };
  const version = report?.header?.glibcVersionRuntime;
  return version === undefined ? 'musl' : `glibc ${version}`;
}

function firstLine(error: Error): string {
  const [line = ''] = String(error.message).split('\n');
  return line;
}

/** Why a package that npm installs by itself may be missing. */
function hint(platform: string): string {
  if (process.env.NAPI_RS_NATIVE_LIBRARY_PATH !== undefined) {
    return ', and the variable NAPI_RS_NATIVE_LIBRARY_PATH names no file';
  }
  const other = PLATFORMS.find((name) => name !== platform && isInstalled(`oxbus-${name}`));
  if (other !== undefined) {
    return `, but oxbus-${other} is: install the packages on the system that they run on`;
  }
  return '. It is an optional dependency: install without --omit=optional, and let a bundler leave oxbus external';
}

function isInstalled(name: string): boolean {
  try {
    require.resolve(`${name}/package.json`);
    return true;
  } catch {
    return false;
  }
}

/** The file that an addon was loaded from, where the runtime tells it. */
function fileOf(addon: object): string {
  const modules = Object.values(require.cache ?? {});
  const found = modules.find(
    (module) => module?.exports === addon && module.filename.endsWith('.node'),
  );
  return found === undefined ? '' : ` in ${found.filename}`;
}
