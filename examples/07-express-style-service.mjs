// A small HTTP service around a bus: correlation from the request to the events it causes,
// health for the orchestrator, and an orderly end.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { EventBusClient } from '../index.js';
import { connection } from './connection.mjs';

const bus = new EventBusClient({ serviceName: 'orders', ...connection });

// An event that a handler publishes inherits the correlation id and names its cause.
await bus.subscribe('order.placed', async (event) => {
  await bus.publish('invoice.created', { order: event.data.id });
});
const invoices = [];
await bus.subscribe('invoice.created', (event) => invoices.push(event.metadata));

const server = createServer(async (request, response) => {
  const answer = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };
  try {
    if (request.url === '/health') {
      const { status, mode } = await bus.healthCheck();
      return answer(status === 'unhealthy' ? 503 : 200, { status, mode });
    }
    const { eventId } = await bus.publish(
      'order.placed',
      { id: 17 },
      { correlationId: request.headers['x-request-id'] },
    );
    answer(202, { accepted: true, eventId });
  } catch (error) {
    // The error says whether the caller may simply try again.
    answer(error.retryable ? 503 : 400, { code: error.code, outcome: error.outcome });
  }
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const base = `http://127.0.0.1:${server.address().port}`;

const { eventId } = await (
  await fetch(`${base}/orders`, { method: 'POST', headers: { 'x-request-id': 'request-1' } })
).json();
while (invoices.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
const [{ correlationId, causationId }] = invoices;
console.log(
  `the invoice belongs to ${correlationId}, caused by the order: ${causationId === eventId}`,
);
console.log('health:', (await (await fetch(`${base}/health`)).json()).status);

server.close();
server.closeAllConnections();
await bus.disconnect(); // after the server has closed, so that requests that still run can publish
console.log('ok');
