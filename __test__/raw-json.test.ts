/** JSON text as data: published as it is, and handed to handlers without being parsed. */

import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';
import webhooks from '@octokit/webhooks-examples';
import { z } from 'zod';
import { type BusEvent, type RawJson, rawJson } from '..';
import { rawRedisOf, streamFor } from './support/durable';
import { eventually } from './support/eventually';
import { runScript } from './support/scripts';
import { onBothTransports } from './support/transports';

const RAW = { data: 'raw' } as const;

onBothTransports((fixture) => {
  test('text and bytes are sent as they are', async () => {
    const bus = await fixture.open();
    const seen: unknown[] = [];
    const raw: RawJson[] = [];
    await bus.subscribe('*', (event) => seen.push(event.data));
    await bus.subscribe('*', (event) => raw.push(event.data), RAW);
    const text = '{"b":1.50,"a":[1e2,"é","\\u0041"], "b":2}';
    await bus.publish('hook', rawJson(text));
    await bus.publish('hook', rawJson(Buffer.from(text)));
    await bus.publish('hook', rawJson('  null '));
    await bus.publishBatch([{ type: 'hook', data: rawJson('"x"') }]);
    await bus.broadcast('hook', rawJson('[1,\n2,\r\n3]'));
    await eventually(() => seen.length === 5 && raw.length === 5);
    expect(seen).toEqual([JSON.parse(text), JSON.parse(text), null, 'x', [1, 2, 3]]);
    expect(raw.map((data) => data.text)).toEqual([text, text, 'null', '"x"', '[1,\r2,\r\r3]']);
    expect(raw.map((data) => Buffer.from(data.bytes).toString())).toEqual(
      raw.map((data) => data.text),
    );
    expect(raw.map((data) => data.parse())).toEqual(seen);
  });

  test('what is no JSON is refused alone, and nothing was sent', async () => {
    const bus = await fixture.open();
    const seen: unknown[] = [];
    await bus.subscribe('*', (event) => seen.push(event.data));
    const bad = [
      '',
      ' ',
      '{',
      '{"a":1},{"b":2}',
      "{'a':1}",
      'undefined',
      '01',
      '"\n"',
      '\f1',
      '"\ud800"',
    ];
    const results = await bus.publishBatch([
      ...bad.map((text) => ({ type: 'hook', data: rawJson(text) })),
      { type: 'hook', data: rawJson(Buffer.from([0x22, 0xff, 0x22])) },
      { type: 'hook', data: rawJson('1') },
    ]);
    for (const result of results.slice(0, -1)) {
      expect(result).toMatchObject({
        status: 'rejected',
        reason: { code: 'ERR_BUS_INVALID_DATA', path: 'data', outcome: 'not_sent' },
      });
    }
    expect(results.at(-1)).toMatchObject({ status: 'fulfilled' });
    await eventually(() => seen.length === 1);
    expect(seen).toEqual([1]);
    for (const wrong of [undefined, null, 1, {}, new ArrayBuffer(2)]) {
      expect(() => rawJson(wrong as never)).toThrow(
        expect.objectContaining({ code: 'ERR_BUS_INVALID_DATA' }),
      );
    }
  });

  test('bytes that are none, detached, or of another realm', async () => {
    const bus = await fixture.open();
    const seen: string[] = [];
    await bus.subscribe('*', ({ data }) => seen.push(data.text), RAW);
    const detached = new Uint8Array([0x31]);
    structuredClone(detached, { transfer: [detached.buffer] });
    for (const wrong of [Buffer.alloc(0), detached]) {
      await expect(bus.publish('hook', rawJson(wrong))).rejects.toMatchObject({
        code: 'ERR_BUS_INVALID_DATA',
        outcome: 'not_sent',
      });
    }
    class Short extends Uint8Array {
      override get length() {
        return 1;
      }
    }
    const foreign: Uint8Array = runInNewContext('new Uint8Array([0x33, 0x34])');
    const read = rawJson(Buffer.from('[5]'));
    expect(read.text).toBe('[5]');
    for (const data of [rawJson(new Short([0x31, 0x32])), rawJson(foreign), read]) {
      await bus.publish('hook', data);
    }
    await eventually(() => seen.length === 3);
    expect(seen).toEqual(['12', '34', '[5]']);
  });

  test('the limit is that of the JSON, without what is around it', async () => {
    const bus = await fixture.open({ validation: { maxDataBytes: 10 } });
    const text = '"12345678"';
    await bus.publish('hook', text.slice(1, -1));
    await bus.publish('hook', rawJson(` ${text} `));
    await bus.publish('hook', rawJson(Buffer.from(text)));
    await expect(bus.publish('hook', rawJson('"123456789"'))).rejects.toMatchObject({
      code: 'ERR_BUS_EVENT_TOO_LARGE',
    });
  });

  test('a group, its batches and its retries get text as well', async () => {
    const stream = streamFor('*');
    const bus = await fixture.open({ streams: [stream] });
    const seen: [string, number, number][] = [];
    const retry = { initialDelay: 1, jitter: 'none' } as const;
    await bus.subscribe(
      'hook',
      (event, ctx) => {
        seen.push([event.data.text, ctx.deliveryCount, ctx.attempt]);
        if (ctx.attempt === 1) throw new Error('again');
      },
      { ...RAW, group: 'one', retry },
    );
    const batches: string[][] = [];
    await bus.subscribe('hook', (events) => batches.push(events.map(({ data }) => data.text)), {
      ...RAW,
      group: 'many',
      batch: { size: 2, wait: 2_000 },
    });
    await bus.publish('hook', { a: 1 });
    await bus.publish('hook', rawJson('[ 2 ]'));
    await eventually(() => seen.length === 4 && batches.length === 1);
    expect(new Set(seen.map(([text, , attempt]) => `${attempt} ${text}`))).toEqual(
      new Set(['1 {"a":1}', '2 {"a":1}', '1 [ 2 ]', '2 [ 2 ]']),
    );
    expect(batches).toEqual([['{"a":1}', '[ 2 ]']]);
  });

  test('filters apply, a pause keeps it, and an iterator gives it', async () => {
    const bus = await fixture.open();
    const seen: string[] = [];
    const subscription = await bus.subscribe('hook', ({ data }) => seen.push(data.text), {
      ...RAW,
      filter: { 'data.a': 1 },
    });
    const events = bus.events('hook', RAW);
    await events.ready();
    subscription.pause();
    await bus.publish('hook', rawJson('{"a": 1}'));
    await bus.publish('hook', rawJson('{"a": 2}'));
    subscription.resume();
    await eventually(() => seen.length === 1);
    expect(seen).toEqual(['{"a": 1}']);
    const texts: string[] = [];
    for await (const event of events) if (texts.push(event.data.text) === 2) break;
    expect(texts).toEqual(['{"a": 1}', '{"a": 2}']);
  });

  test('events with members of their own, and of other programs, are text too', async () => {
    const bus = await fixture.open();
    const seen: BusEvent<RawJson>[] = [];
    await bus.subscribe('hook', (event) => seen.push(event), RAW);
    await bus.publish('hook', { n: 1 }, { key: 'k', metadata: { own: [1] } });
    await eventually(() => seen.length === 1);
    expect(seen[0]).toMatchObject({ type: 'hook', metadata: { key: 'k', own: [1] } });
    expect(seen[0]?.data.text).toBe('{"n":1}');
    if (fixture.server === undefined) return;
    const other = rawRedisOf(fixture);
    const channel = (await bus.publish('hook', 2)).channel;
    await other.redis.publish(
      channel,
      '{"id":"x","type":"hook","extra":[1],"data":{ "n" : 3 },"last":0}',
    );
    await eventually(() => seen.length === 3);
    expect(seen[2]?.data.text).toBe('{ "n" : 3 }');
    other.close();
  });

  test('a schema sees the value; who asked for text gets the text', async () => {
    const photo = z.object({ id: z.string(), size: z.coerce.number().default(1) });
    const bus = await fixture.open({ schemas: { photo }, validateOnReceive: true });
    const sender = await fixture.open();
    const seen: string[] = [];
    const errors: unknown[] = [];
    bus.on('error', ({ cause }) => errors.push(cause));
    await bus.subscribe('photo', ({ data }) => seen.push(data.text), RAW);
    await bus.publish('photo', rawJson('{"id":"1","extra":2}'));
    await expect(bus.publish('photo', rawJson('{"id":1}'))).rejects.toMatchObject({
      code: 'ERR_BUS_INVALID_DATA',
      path: 'data.id',
    });
    await expect(bus.publish('photo', rawJson('{'))).rejects.toMatchObject({
      code: 'ERR_BUS_INVALID_DATA',
    });
    await sender.publish('photo', rawJson('{"id" : "2"}'));
    await sender.publish('photo', { id: 3 });
    await eventually(() => seen.length === 2 && errors.length === 1);
    expect(seen).toEqual(['{"id":"1","size":1}', '{"id" : "2"}']);
  });

  test('every webhook comes as it was sent', async () => {
    const bus = await fixture.open();
    const texts = webhooks.flatMap(({ examples }) => examples.map((one) => JSON.stringify(one)));
    const seen: string[] = [];
    const values: unknown[] = [];
    await bus.subscribe('hook', ({ data }) => seen.push(data.text), RAW);
    await bus.subscribe('hook', ({ data }) => values.push(data));
    for (const text of texts) await bus.publish('hook', rawJson(text));
    await eventually(() => seen.length === texts.length && values.length === texts.length);
    expect(seen).toEqual(texts);
    expect(values).toEqual(texts.map((text) => JSON.parse(text)));
  });

  test('text, bytes and value are the same in whatever order they are asked for', async () => {
    const bus = await fixture.open();
    const texts = [
      '""',
      '"x"',
      '{"é":"\u{1f600}\u2028\ufeff"}',
      '"ÿ"',
      JSON.stringify('a\\"'.repeat(9_000)),
    ];
    const kept: RawJson[] = [];
    await bus.subscribe('hook', ({ data }) => kept.push(data), RAW);
    const orders = [
      (data: RawJson) => [data.text, data.bytes, data.text],
      (data: RawJson) => [data.bytes, data.text, data.bytes],
      (data: RawJson) => [inspect(data).slice('RawJson '.length), data.bytes, data.text],
    ];
    for (const _ of orders) for (const text of texts) await bus.publish('hook', rawJson(text));
    await eventually(() => kept.length === orders.length * texts.length);
    const again: string[] = [];
    await bus.subscribe('again', ({ data }) => again.push(data.text), RAW);
    for (const [index, data] of kept.entries()) {
      const text = texts[index % texts.length] as string;
      // It is forwarded as it came, and once more after it was read.
      await bus.publish('again', data);
      const given = orders[Math.floor(index / texts.length)]?.(data).map((one) =>
        typeof one === 'string' ? one : Buffer.from(one).toString(),
      );
      expect(given).toEqual([text, text, text]);
      await bus.publish('again', data);
      expect(data.parse()).toEqual(JSON.parse(text));
      expect(data.bytes).toBe(data.bytes);
      expect(data.bytes.buffer.byteLength).toBe(data.bytes.length);
    }
    await eventually(() => again.length === 2 * kept.length);
    expect(again).toEqual(kept.flatMap(({ text }) => [text, text]));
  });

  test('an event that is forwarded is not parsed on its way', async () => {
    const bus = await fixture.open();
    const seen: string[] = [];
    await bus.subscribe('in', ({ data }) => bus.publish('out', data), RAW);
    await bus.subscribe('out', ({ data }) => seen.push(data.text), RAW);
    await bus.publish('in', rawJson('{"n": 1.0}'));
    await eventually(() => seen.length === 1);
    expect(seen).toEqual(['{"n": 1.0}']);
  });
});

test.each(['text', 'bytes', 'nothing'])(
  'data that is kept keeps no other: %s of it was read',
  async (read) => {
    const ended = await runScript(
      `
    const bus = new oxbus.EventBusClient({ serviceName: 's', mode: 'memory', logLevel: 'error' });
    const kept = [];
    let [published, seen] = [0, 0];
    await bus.subscribe('hook', ({ data }) => {
      if (args[0] !== 'nothing') data[args[0]];
      if (seen++ % 10 === 0) kept.push(data);
    }, { data: 'raw' });
    const json = oxbus.rawJson(JSON.stringify('x'.repeat(10_000)));
    const publish = async (count) => {
      for (let left = count; left > 0; left -= 100) {
        await Promise.all(Array.from({ length: 100 }, () => bus.publish('hook', json)));
      }
      published += count;
      while (seen < published) await new Promise((resolve) => setTimeout(resolve, 1));
    };
    const used = () => {
      gc();
      gc();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    await publish(2_000);
    kept.length = 0;
    const before = used();
    await publish(5_000);
    console.log(kept.length, Math.round((used() - before) / kept.length));
    await bus.disconnect();
    `,
      [read],
    );
    expect(ended).toMatchObject({ code: 0, err: '' });
    const [kept, bytes] = ended.out.split(' ').map(Number) as [number, number];
    expect(kept).toBe(500);
    // Its own 10 KB, twice where its text and its bytes are there, and what belongs to one of 500 of everything else.
    expect(bytes).toBeGreaterThan(9_000);
    expect(bytes).toBeLessThan(35_000);
  },
);

test('it has its bytes for itself, and is JSON within JSON', () => {
  const raw = rawJson('{"a":[1]}');
  expect(JSON.stringify({ raw })).toBe('{"raw":{"a":[1]}}');
  expect(raw.parse()).not.toBe(raw.parse());
  expect(inspect(raw)).toBe('RawJson {"a":[1]}');
  expect(inspect(rawJson(Buffer.from([0xff])))).toBe('RawJson \ufffd');
  expect(() => rawJson(Buffer.from([0xff])).text).toThrow('utf-8');
});
