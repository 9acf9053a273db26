import { escapePattern } from '..';
import { eventually } from './support/eventually';
import { onBothTransports } from './support/transports';

const TYPES = ['photo.uploaded', 'photo.deleted', 'photo', 'photo.a.b', 'video.uploaded', 'x'];

onBothTransports((fixture) => {
  test.each<[string, string[]]>([
    ['photo.uploaded', ['photo.uploaded']],
    ['photo.*', ['photo.uploaded', 'photo.deleted', 'photo.a.b']],
    ['*', TYPES],
    ['*.uploaded', ['photo.uploaded', 'video.uploaded']],
    ['photo?uploaded', ['photo.uploaded']],
    ['[pv]*.uploaded', ['photo.uploaded', 'video.uploaded']],
    ['[^p]*', ['video.uploaded', 'x']],
    ['[w-y]', ['x']],
    ['photo\\.deleted', ['photo.deleted']],
    ['nothing', []],
  ])('the pattern %j matches %j', async (pattern, expected) => {
    const bus = await fixture.open();
    const seen: string[] = [];
    const all: string[] = [];
    await bus.subscribe(pattern, (event) => seen.push(event.type));
    await bus.subscribe('*', (event) => all.push(event.type));
    for (const type of TYPES) await bus.publish(type, 1);
    await eventually(() => all.length === TYPES.length);
    await eventually(() => seen.length === expected.length);
    expect(seen).toEqual(expected);
  });

  test('each matching subscription is called once, however many patterns overlap', async () => {
    const bus = await fixture.open();
    const seen: string[] = [];
    await bus.subscribe(['photo.*', '*', 'photo.uploaded'], (_, ctx) => seen.push(ctx.pattern));
    await bus.subscribe('photo.uploaded', () => seen.push('exact'));
    await bus.subscribe('photo.*', () => seen.push('prefix'));
    await bus.publish('photo.uploaded', 1);
    await eventually(() => seen.length === 3);
    await bus.publish('photo.deleted', 1);
    await eventually(() => seen.length === 5);
    expect(seen.filter((name) => name === 'exact')).toHaveLength(1);
    expect(seen.filter((name) => name === 'prefix')).toHaveLength(2);
  });

  test('an escaped pattern matches itself alone', async () => {
    const bus = await fixture.open();
    const seen: string[] = [];
    await bus.subscribe(escapePattern('a.b'), (event) => seen.push(event.type));
    await bus.publish('a.b', 1);
    await eventually(() => seen.length === 1);
    expect(escapePattern('a*b?[c]\\')).toBe('a\\*b\\?\\[c\\]\\\\');
  });

  test("by: 'channel' addresses channels, without the prefix", async () => {
    const bus = await fixture.open();
    const seen: string[] = [];
    await bus.subscribe('broad*', (event) => seen.push(event.type), { by: 'channel' });
    await bus.broadcast('news', 1);
    await bus.publish('broadly', 1);
    await eventually(() => seen.length === 2);
    expect(seen).toEqual(['news', 'broadly']);
  });

  test.each<[string, unknown]>([
    ['not a text', 5],
    ['empty', ''],
    ['no pattern', []],
    ['one of them not a text', ['a', null]],
    ['too long', 'x'.repeat(1025)],
  ])('a bad pattern is refused: %s', async (_, pattern) => {
    const bus = await fixture.open();
    await expect(bus.subscribe(pattern as string, () => {})).rejects.toMatchObject({
      code: 'ERR_BUS_INVALID_PATTERN',
    });
  });
});
