/** A folder with the programs of `fixtures/nest`, this package and one version of Nest, as a service has them. */

import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fences } from './fences';
import { type Ended, type RunOptions, runNode } from './scripts';

const ROOT = join(__dirname, '..', '..');
const PROGRAMS = join(ROOT, 'fixtures', 'nest');
const COMPILER_LIMIT = 120_000;

/** The versions, by their fixtures. */
export const VERSIONS = ['nest11', 'nest12'] as const;

/** The names of the cases in a program. */
export function casesOf(program: string): string[] {
  const text = readFileSync(join(PROGRAMS, program), 'utf8');
  return Array.from(text.matchAll(/^test\('([^']+)'/gm), ([, name]) => name as string);
}

/** The programs of the guide, with what each is said to print. */
export const guide = fences(readFileSync(join(ROOT, 'docs', 'nestjs.md'), 'utf8')).flatMap(
  ({ info, body }, index, all) => {
    if (info !== 'ts nest') return [];
    const next = all[index + 1];
    return [
      {
        name: `guide-${index}`,
        code: body,
        output: next?.info === 'text printed' ? next.body : '',
      },
    ];
  },
);

export class NestProject {
  readonly #folder = mkdtempSync(join(tmpdir(), 'oxbus-nest-'));

  /** Installs the version where that is needed, and compiles the programs with it. */
  static async of(version: string): Promise<NestProject> {
    const script = join(ROOT, 'scripts', 'fixtures.mjs');
    succeeded(await runNode([script, version], { limit: COMPILER_LIMIT }));
    const project = new NestProject(version);
    const tsc = join('node_modules', 'typescript', 'bin', 'tsc');
    succeeded(await project.run([tsc, '-p', '.'], { limit: COMPILER_LIMIT }));
    return project;
  }

  private constructor(version: string) {
    const modules = join(this.#folder, 'node_modules');
    cpSync(PROGRAMS, this.#folder, { recursive: true });
    for (const { name, code } of guide) writeFileSync(join(this.#folder, `${name}.ts`), code);
    const installed = join(ROOT, 'fixtures', version, 'node_modules');
    mkdirSync(modules);
    for (const name of readdirSync(installed)) {
      if (!name.startsWith('.')) symlinkSync(join(installed, name), join(modules, name));
    }
    // A copy: through a link it would find the Nest of its own folder.
    const files = readdirSync(ROOT).filter((name) => /\.(js|d\.ts|node)$/.test(name));
    for (const name of ['package.json', 'dist', ...files]) {
      cpSync(join(ROOT, name), join(modules, 'oxbus', name), { recursive: true });
    }
  }

  run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return runNode(args, { cwd: this.#folder, ...options });
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function succeeded({ code, out, err }: Ended): void {
  if (code !== 0) throw new Error(`exit code ${code}\n${out}\n${err}`);
}
