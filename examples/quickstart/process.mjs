// One service as a process of its own: told by its parent what to be, reports over IPC.

import { startMember } from './groups.mjs';
import { publish, startSubscriber } from './services.mjs';

/** @param {unknown} message */
const send = (message) => process.send?.(message);

/** @type {Awaited<ReturnType<typeof startSubscriber>> | undefined} */
let subscriber;
/** @type {Awaited<ReturnType<typeof startMember>> | undefined} */
let member;
let audited = 0;

async function handle(message) {
  switch (message.kind) {
    case 'subscribe':
      subscriber = await startSubscriber(message.options, message.service, (handled) =>
        send({ kind: 'progress', handled }),
      );
      return send({ kind: 'subscribed' });
    case 'join':
      member = await startMember(message.options, message.group);
      return send({ kind: 'joined' });
    case 'fix':
      await member?.fix();
      return send({ kind: 'fixed' });
    case 'publish': {
      const result = await publish(message.options, {
        duration: message.duration,
        audited: () => audited,
        onProgress: (published) => send({ kind: 'progress', published }),
      });
      return send({ kind: 'published', result });
    }
    case 'audited':
      audited = message.handled;
      return;
    case 'stop':
      send({ kind: 'stopped', result: await (subscriber ?? member)?.stop() });
      return process.disconnect();
  }
}

process.on('message', (message) => {
  handle(message).catch((error) => {
    send({ kind: 'failed', message: error.message });
    process.exitCode = 1;
    process.disconnect();
  });
});

// A service whose parent is gone has nobody to report to.
process.on('disconnect', () => process.exit());
