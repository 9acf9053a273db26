/**
 * The README and the guides run: every block of theirs that is fenced as `ts run` is checked by the compiler and
 * then run on a Redis of its own; a block `text output` that follows it is what it prints.
 */

import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fences } from './support/fences';
import { RedisServer } from './support/redis-server';
import { run, runNode } from './support/scripts';

const ROOT = join(__dirname, '..');
const LIMIT = 20_000;
/** For the compiler, which takes all blocks together. */
const COMPILER_LIMIT = 60_000;

interface Block {
  /** The guide and the line of the fence. */
  place: string;
  file: string;
  code: string;
  /** What it is said to print. */
  output: string | undefined;
}

const guides = readdirSync(join(ROOT, 'docs'))
  .filter((name) => name.endsWith('.md'))
  .map((name) => join('docs', name));
guides.unshift('README.md');
const blocks = guides.flatMap((guide) => blocksOf(guide));
const folder = mkdtempSync(join(tmpdir(), 'oxbus-docs-'));

function blocksOf(guide: string): Block[] {
  const text = readFileSync(join(ROOT, guide), 'utf8');
  const found: Block[] = [];
  for (const { info, body, index } of fences(text)) {
    const last = found.at(-1);
    if (info === 'ts run') {
      const line = text.slice(0, index).split('\n').length;
      const file = `${basename(guide, '.md')}-${line}`;
      found.push({ place: `${guide}:${line}`, file, code: body, output: undefined });
    } else if (info === 'text output') {
      if (last === undefined || last.output !== undefined)
        throw new Error(`${guide}: output of what?`);
      last.output = body.trim();
    }
  }
  return found;
}

/** The packages that some block imports; `oxbus` is this one. */
function packages(): Set<string> {
  const names = new Set<string>();
  for (const { code } of blocks) {
    for (const [, name = ''] of code.matchAll(/from '((?:@[^/']+\/)?[^/'.][^/']*)[^']*'/g))
      names.add(name);
  }
  for (const name of names) {
    if (name.startsWith('node:') || builtinModules.includes(name)) names.delete(name);
  }
  return names;
}

beforeAll(async () => {
  for (const name of [...packages(), '@types/node', '@types/express', 'undici-types']) {
    const link = join(folder, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(name === 'oxbus' ? ROOT : join(ROOT, 'node_modules', name), link);
  }
  for (const { file, code } of blocks) writeFileSync(join(folder, `${file}.ts`), code);
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2022',
    lib: ['es2023', 'esnext.disposable'],
    types: ['node'],
    strict: true,
    skipLibCheck: true,
    esModuleInterop: true,
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const { code, out } = await runNode([compiler, '-p', folder], {
    limit: COMPILER_LIMIT,
    cwd: folder,
  });
  expect({ code, out }).toEqual({ code: 0, out: '' });
}, COMPILER_LIMIT + 1000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(blocks.map((block) => [block.place, block] as const))(
  '%s',
  async (_, { file, output }) => {
    const server = await RedisServer.start();
    try {
      const { code, signal, out, err } = await run(process.execPath, [join(folder, `${file}.js`)], {
        limit: LIMIT,
        cwd: folder,
        env: { REDIS_URL: server.url },
      });
      // A block may log what it shows; what it wrote tells why it failed.
      const failure = code === 0 ? undefined : err;
      expect({ code, signal, failure }).toEqual({ code: 0, signal: null, failure: undefined });
      if (output !== undefined) expect(out.trim()).toBe(output);
    } finally {
      await server.stop();
    }
  },
  LIMIT + 5000,
);
