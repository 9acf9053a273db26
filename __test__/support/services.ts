/** Services as processes of their own, which write down what they do before they do anything else. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually';

const ENTRY = join(__dirname, '..', '..', 'index.js');

/** Something that a service has done. `kind` says what. */
export interface Note {
  kind: string;
  /** When, in ms since 1970. */
  at: number;
  [field: string]: any;
}

/**
 * Runs CommonJS code: `oxbus` is the package, the arguments are in `args`, and what `note(kind, fields)`
 * is told survives the process, however it ends.
 */
export class Service {
  static readonly #all = new Set<Service>();
  readonly #process: ChildProcess;
  readonly #folder = mkdtempSync(join(tmpdir(), 'oxbus-service-'));
  readonly ended: Promise<{ code: number | null; signal: string | null; err: string }>;

  constructor(code: string, args: object) {
    const journal = join(this.#folder, 'journal');
    const prelude = `
      const oxbus = require(${JSON.stringify(ENTRY)});
      const args = ${JSON.stringify(args)};
      const note = (kind, fields) => require('node:fs').appendFileSync(
        ${JSON.stringify(journal)}, JSON.stringify({ kind, at: Date.now(), ...fields }) + '\\n');
      note('started');`;
    // What a crash may leave behind goes with the folder.
    this.#process = spawn(process.execPath, ['-e', `${prelude}(async () => {${code}})();`], {
      stdio: ['ignore', 'ignore', 'pipe'],
      cwd: this.#folder,
    });
    let err = '';
    this.#process.stderr?.on('data', (text) => {
      err += text;
    });
    this.ended = new Promise((resolve) => {
      this.#process.once('close', (code, signal) => resolve({ code, signal, err }));
    });
    Service.#all.add(this);
  }

  /** Kills those that still run. */
  static async endAll(): Promise<void> {
    for (const service of Service.#all) {
      service.#process.kill('SIGKILL');
      await service.ended;
      rmSync(service.#folder, { recursive: true, force: true });
    }
    Service.#all.clear();
  }

  /** What it has written down by now; of one kind, or all. */
  notes(kind?: string): Note[] {
    const text = readFileSync(join(this.#folder, 'journal'), 'utf8');
    // The last line may be half written.
    const lines = text.split('\n').slice(0, -1);
    const notes = lines.map((line) => JSON.parse(line) as Note);
    return kind === undefined ? notes : notes.filter((note) => note.kind === kind);
  }

  /** Waits for its first note of a kind. */
  first(kind: string, deadline?: number): Promise<Note> {
    return eventually(() => this.notes(kind)[0] ?? (false as never), deadline) as Promise<Note>;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Makes an empty file in its folder, for which it may wait. */
  tell(file: string): void {
    writeFileSync(join(this.#folder, file), '');
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }
}
