/** The outcomes of the publishes that cross together, and who is told of them. */

import type { PublishResult } from '../../index';
import { busError } from '../../ts/errors';
import { Batch, HEARD, PublishFailure } from '../../ts/publish/batch';

/** A batch of so many events that nobody watches yet. */
function batchOf(events: number, watch: (batch: Batch, index: number) => void): Batch {
  const batch = new Batch(1);
  for (let index = 0; index < events; index += 1) {
    batch.types.push('a');
    batch.outcomes.push(undefined);
    batch.unsettled += 1;
    watch(batch, index);
  }
  return batch;
}

const result = (eventId: string) => ({ eventId }) as PublishResult;
const failure = () => new PublishFailure(busError('ERR_BUS_CONNECTION_LOST', 'gone'));

describe('a batch', () => {
  let told: string[];
  const telling = (index: number) => ({
    published: ({ eventId }: PublishResult) => told.push(`${index} ${eventId}`),
    failed: ({ code }: { code: string }) => told.push(`${index} ${code}`),
  });

  beforeEach(() => {
    told = [];
  });

  test('tells each watcher once, when its own event has an outcome', () => {
    // Of the third event somebody else waits.
    const batch = batchOf(4, (one, index) => index !== 2 && one.watch(telling(index), false));
    batch.settle(1, failure());
    batch.settle(2, result('two'));
    batch.resumeCallers();
    expect(told).toEqual(['1 ERR_BUS_CONNECTION_LOST']);
    batch.settle(0, result('zero'));
    batch.resumeCallers();
    batch.resumeCallers();
    batch.settle(3, result('three'));
    batch.resumeCallers();
    expect(told).toEqual(['1 ERR_BUS_CONNECTION_LOST', '0 zero', '3 three']);
  });

  test('tells a watcher before the caller of the same event goes on', async () => {
    const batch = batchOf(1, (one) => one.watch(telling(0), false));
    const caller = batch.resultOf(0).then(({ eventId }) => told.push(`caller ${eventId}`));
    batch.settle(0, result('a'));
    batch.resumeCallers();
    await caller;
    expect(told).toEqual(['0 a', 'caller a']);
  });

  test('tells nobody of what was heard, and knows whether all that is left is quiet', () => {
    const batch = batchOf(3, (one, index) => one.watch(telling(index), index > 0));
    expect(batch.isOnlyQuiet).toBe(false);
    batch.settle(0, result('zero'));
    expect([batch.isOnlyQuiet, batch.quiet]).toEqual([true, 2]);
    batch.settle(1, HEARD);
    expect([batch.isOnlyQuiet, batch.quiet]).toEqual([true, 1]);
    batch.settle(2, failure());
    expect([batch.isOnlyQuiet, batch.quiet, batch.unsettled]).toEqual([false, 0, 0]);
    batch.resumeCallers();
    expect(told).toEqual(['0 zero', '2 ERR_BUS_CONNECTION_LOST']);
  });

  test('tells those who watch when its client closes', () => {
    const batch = batchOf(2, (one, index) => one.watch(telling(index), index === 0));
    batch.settle(1, result('one'));
    batch.refuse('unknown');
    expect(told).toEqual(['0 ERR_BUS_CLOSED', '1 one']);
  });
});
