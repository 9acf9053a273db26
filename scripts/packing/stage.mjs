// What npm publishes, as folders: the package without its addon, and the package of this system's addon.

import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root, SetupError } from '../prepare.mjs';

const windows = process.platform === 'win32';

/** The addon that was built here: its file, and the name of its system. */
function builtAddon() {
  const file = readdirSync(root).find((name) => /^oxbus\..+\.node$/.test(name));
  if (file === undefined) throw new SetupError('the addon is not built: run `npm run build`');
  return { file, platform: file.split('.')[1] };
}

/** The standard output of npm. */
function npm(args, cwd) {
  const ended = spawnSync('npm', args, { cwd, encoding: 'utf8', shell: windows });
  if (ended.status !== 0) throw new SetupError(`failed: npm ${args.join(' ')}\n${ended.stderr}`);
  return ended.stdout;
}

/** Packs a folder; returns the path of the file. */
export function pack(folder, destination) {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', destination];
  const [{ filename }] = JSON.parse(npm(args, folder));
  return join(destination, filename);
}

const read = (path) => JSON.parse(readFileSync(path, 'utf8'));
const write = (path, value) => writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);

/** Copies what npm would pack of this repository. `change` makes the manifest. */
function copyPackage(folder, change) {
  const [{ files }] = JSON.parse(npm(['pack', '--dry-run', '--json', '--ignore-scripts'], root));
  for (const { path } of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    copyFileSync(join(root, path), join(folder, path));
  }
  const manifest = read(join(root, 'package.json'));
  // They are for work on the repository, which is not there.
  delete manifest.scripts;
  delete manifest.devDependencies;
  write(join(folder, 'package.json'), change(manifest));
}

/** The package as it is published, and that of the addon as the folder beside it. Returns the folders by the names. */
export function stagePublished(folder) {
  const { file, platform } = builtAddon();
  const name = `oxbus-${platform}`;
  copyPackage(join(folder, 'oxbus'), (manifest) => ({
    ...manifest,
    optionalDependencies: { [name]: manifest.version },
  }));
  cpSync(join(root, 'npm', platform), join(folder, name), { recursive: true });
  copyFileSync(join(root, file), join(folder, name, file));
  return { oxbus: join(folder, 'oxbus'), [name]: join(folder, name) };
}

/** The package with the addon inside, for this system only. Returns the name of the system. */
export function stageLocal(folder) {
  const { file, platform } = builtAddon();
  const { os, cpu, libc } = read(join(root, 'npm', platform, 'package.json'));
  copyPackage(folder, (manifest) => ({
    ...manifest,
    files: [...manifest.files, file],
    os,
    cpu,
    ...(libc !== undefined && { libc }),
  }));
  copyFileSync(join(root, file), join(folder, file));
  return platform;
}
