// An event map gives every handler the type of its payload; 02-typed-events.mts shows the types.
// Schemas check the same at run time: any Standard Schema validator (here zod) will do.

import { z } from 'zod';
import { EventBusClient, ValidationError } from '../index.js';
import { connection } from './connection.mjs';

const bus = new EventBusClient({
  serviceName: 'gallery',
  ...connection,
  schemas: {
    'photo.uploaded': z.object({ photoId: z.string(), tags: z.array(z.string()).default([]) }),
  },
});

const uploaded = new Promise((resolve) => {
  bus.once('ready', () => console.log('ready'));
  bus
    .subscribe('photo.uploaded', resolve)
    .then(() => bus.publish('photo.uploaded', { photoId: '1' }));
});
console.log('data after the schema:', (await uploaded).data);

try {
  await bus.publish('photo.uploaded', { photoId: 1 });
} catch (error) {
  console.log(`refused: ${error instanceof ValidationError} ${error.code}`);
}

await bus.disconnect();
console.log('ok');
