/** What others see of the bus in a process: followers of asynchronous resources, and warnings of Node. */

import { delimiter } from 'node:path';
import { runScript } from './support/scripts';

const others = (process.env.OXBUS_NODES ?? '').split(delimiter).filter((path) => path !== '');
const runtimes = [process.execPath, ...others];

const USE = `const { EventBusClient } = require(entry);
  const bus = new EventBusClient({ mode: 'memory', logLevel: 'error' });
  let handled = 0;
  await bus.subscribe('a', async () => { await null; handled += 1; });
  await bus.publish('a', 1);
  while (handled === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  await bus.disconnect();`;

test.each(runtimes)(
  'no resource of ours stays open, after the import or after use (%s)',
  async (runtime) => {
    const code = `const entry = args[0];
    const open = new Map();
    require('node:async_hooks').createHook({
      init: (id, type) => { if (type === 'Oxbus') open.set(id, type); },
      destroy: (id) => open.delete(id),
    }).enable();
    // The module was loaded by the prelude; this loads it, and the addon, anew.
    for (const name of Object.keys(require.cache)) if (!name.endsWith('.node')) delete require.cache[name];
    require(entry);
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    await turn();
    const afterImport = open.size;
    ${USE}
    await turn();
    console.log(JSON.stringify([afterImport, open.size]));`;
    const entry = require.resolve('..');
    expect(await runScript(code, [entry], { program: runtime })).toMatchObject({
      code: 0,
      err: '',
      out: '[0,0]\n',
    });
  },
);

test.each(runtimes)(
  'one signal serves a batch of calls without a warning (%s)',
  async (runtime) => {
    const code = `process.on('warning', ({ name, message }) => console.log(name, message));
    const bus = new oxbus.EventBusClient({ mode: 'memory', logLevel: 'error' });
    const { setTimeout: delay } = require('node:timers/promises');
    let handled = 0;
    await bus.subscribe('a', async (event, { signal }) => {
      for (let n = 0; n < 20; n += 1) signal.addEventListener('abort', () => {});
      await Promise.all(Array.from({ length: 100 }, () => delay(1, null, { signal })));
      handled += 1;
    });
    await bus.publish('a', 1);
    while (handled === 0) await delay(1);
    await bus.disconnect();
    console.log(handled);`;
    expect(await runScript(code, [], { program: runtime })).toMatchObject({
      code: 0,
      err: '',
      out: '1\n',
    });
  },
);
