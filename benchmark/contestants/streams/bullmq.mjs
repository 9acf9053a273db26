import { Queue, Worker } from 'bullmq';

const connection = (url) => {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port), maxRetriesPerRequest: null };
};

/** What has been done is removed, as an acknowledged entry leaves its group. */
const jobOptions = { removeOnComplete: true };

/** A queue whose jobs are events; live messages are not its trade. */
export function createStore(url, { stream }) {
  const queue = new Queue(stream, { connection: connection(url) });
  queue.on('error', console.error);
  return {
    connect: () => queue.waitUntilReady(),
    publish: (type, data) => queue.add(type, data, jobOptions),
    publishAll: (type, items) =>
      queue.addBulk(items.map((data) => ({ name: type, data, opts: jobOptions }))),
    close: () => queue.close(),
  };
}

/** A worker; `lease` is how long it holds a job without renewing, and how often it looks for others'. */
export function createConsumer(url, { stream, concurrency, lease }) {
  let worker;
  return {
    async start(handler) {
      worker = new Worker(stream, ({ id, name, data }) => handler({ id, type: name, data }), {
        connection: connection(url),
        concurrency,
        ...(lease && { lockDuration: lease, stalledInterval: lease }),
      });
      worker.on('error', () => {});
      await worker.waitUntilReady();
    },
    close: () => worker.close(),
  };
}
