/** Records what the addon hands over, and lets the compiler say whether it fits the types that are declared for it. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Drained } from '../../ts/native/drained';
import type { NativeClient } from '../../ts/native/native';

/** With slashes, which imports want on every platform. */
const ROOT = join(__dirname, '..', '..').replaceAll('\\', '/');

/** Where the types of samples come from. */
const IMPORTS = `
import type { HealthReport, Stats } from '${ROOT}/index'; type EngineStats = Omit<Stats, 'requests'>;
import type { Drained } from '${ROOT}/ts/native/drained';
import type { Replies } from '${ROOT}/ts/native/methods';
import type { NativeResult, Settings, Subscribed } from '${ROOT}/ts/native/native';
`;

/** A JSON text, and the type that its value must have. */
export interface Sample {
  type: string;
  json: string;
}

export class Crossings {
  readonly samples: Sample[] = [];
  readonly drained: Drained[] = [];

  add(type: string, json: string): void {
    this.samples.push({ type, json });
  }

  /** Records what clients of this class return from now on, and the replies to what they are asked. */
  record(NativeClass: { prototype: NativeClient }): void {
    const asked = new WeakMap<object, Map<number, string>>();
    const ask = (client: object, ticket: number, type: string) => {
      if (!asked.has(client)) asked.set(client, new Map());
      asked.get(client)?.set(ticket, type);
    };
    const { add, drained } = { add: this.add.bind(this), drained: this.drained };
    const original = { ...Object.getOwnPropertyDescriptors(NativeClass.prototype) };
    const call = (name: keyof NativeClient, client: object, args: unknown[]) =>
      (original[name].value as (...args: unknown[]) => never).apply(client, args);
    const replace = (name: keyof NativeClient, method: (...args: never[]) => unknown) =>
      Object.defineProperty(NativeClass.prototype, name, { value: method, configurable: true });

    replace('request', function (this: object, ticket: number, method: string, args: string) {
      // Where events come beside the reply, their indexes stand in it.
      const beside = (JSON.parse(args) as { events?: string }).events !== undefined;
      ask(this, ticket, `Replies${beside ? '<number>' : ''}['${method}']`);
      return call('request', this, [ticket, method, args]);
    });
    replace('health', function (this: object, ticket: number) {
      ask(this, ticket, 'HealthReport');
      return call('health', this, [ticket]);
    });
    replace('subscribe', function (this: object, ...args: unknown[]) {
      const json = call('subscribe', this, args);
      add('NativeResult<Subscribed>', json);
      return json;
    });
    replace('stats', function (this: object) {
      const json = call('stats', this, []);
      add('EngineStats', json);
      return json;
    });
    replace('drain', function (this: object) {
      const json: string = call('drain', this, []);
      if (json === '') return json;
      add('Drained', json);
      const value = JSON.parse(json) as Drained;
      drained.push(value);
      for (const [ticket, reply] of value.replies ?? []) {
        const type = asked.get(this)?.get(ticket);
        if (type !== undefined) add(type, JSON.stringify(reply));
      }
      return json;
    });
  }

  /** What the compiler says against the samples; empty when each has exactly the members of its type. */
  faults(): string {
    const lines = this.samples.map(
      // As a literal, in which the compiler refuses members that the type does not have.
      ({ type, json }, n) => `export const sample${n}: ${type} = ${json};`,
    );
    // Inside the project, as its `rootDir` wants.
    mkdirSync(join(ROOT, 'target'), { recursive: true });
    const folder = mkdtempSync(join(ROOT, 'target', 'crossings-'));
    const project = {
      extends: join(ROOT, 'tsconfig.test.json'),
      compilerOptions: {
        rootDir: ROOT,
        typeRoots: [join(ROOT, 'node_modules', '@types')],
        types: ['node'],
      },
      include: [],
      files: [join(folder, 'samples.ts')],
    };
    try {
      writeFileSync(join(folder, 'samples.ts'), [IMPORTS, ...lines, ''].join('\n'));
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(project));
      const tsc = require.resolve('typescript/package.json').replace('package.json', 'bin/tsc');
      execFileSync(process.execPath, [tsc, '-p', folder], { stdio: 'pipe', encoding: 'utf8' });
      return '';
    } catch (error) {
      return (error as { stdout?: string }).stdout ?? String(error);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}
