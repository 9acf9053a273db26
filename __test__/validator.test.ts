import { EventValidator, ValidationError } from '..';

const validator = new EventValidator();
const event = {
  id: '1',
  type: 'a',
  data: { n: 1 },
  metadata: { timestamp: '2026-01-02T03:04:05.678Z', source: 's', correlationId: 'c' },
};

function codeOf(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(ValidationError);
    expect((error as Error).stack?.split('\n')[1]).toContain('validator.test.ts');
    return (error as ValidationError).code.slice('ERR_BUS_'.length);
  }
}

test.each<[string, unknown, string | undefined]>([
  ['a whole one', event, undefined],
  ['no id', { ...event, id: undefined }, 'INVALID_EVENT'],
  ['no data', { ...event, data: undefined }, 'INVALID_EVENT'],
  ['a bad type', { ...event, type: 'a b' }, 'INVALID_TYPE'],
  ['no metadata', { ...event, metadata: undefined }, 'INVALID_EVENT'],
  ['null', null, 'INVALID_EVENT'],
  ['undefined', undefined, 'INVALID_EVENT'],
  ['data that is no JSON', { ...event, data: 1n }, 'INVALID_DATA'],
  ['data too large', { ...event, data: 'x'.repeat(524_287) }, 'EVENT_TOO_LARGE'],
])('an event: %s', (_, value, code) => {
  expect(codeOf(() => validator.validateEvent(value))).toBe(code);
});

test('single values', () => {
  expect(codeOf(() => validator.validateEventType('a.b'))).toBeUndefined();
  expect(codeOf(() => validator.validateEventType('room:x'))).toBe('INVALID_TYPE');
  expect(codeOf(() => validator.validateEventType(undefined))).toBe('INVALID_TYPE');
  expect(codeOf(() => validator.validateMetadata(event.metadata))).toBeUndefined();
  expect(codeOf(() => validator.validateMetadata({}))).toBe('INVALID_EVENT');
  expect(codeOf(() => validator.validateTimestamp(event.metadata.timestamp))).toBeUndefined();
  expect(codeOf(() => validator.validateTimestamp('yesterday'))).toBe('INVALID_EVENT');
  expect(codeOf(() => validator.validateTimestamp(5))).toBe('INVALID_EVENT');
});

test('sizes, by default and of one’s own', () => {
  expect(codeOf(() => validator.validateDataSize('x'.repeat(524_286)))).toBeUndefined();
  expect(codeOf(() => validator.validateDataSize('x'.repeat(524_287)))).toBe('EVENT_TOO_LARGE');
  expect(codeOf(() => validator.validateEventSize('x'.repeat(1_048_575)))).toBe('EVENT_TOO_LARGE');
  const own = new EventValidator({ maxDataBytes: 4 });
  expect(codeOf(() => own.validateDataSize('éé'))).toBe('EVENT_TOO_LARGE');
  expect(codeOf(() => own.validateDataSize('é'))).toBeUndefined();
  expect(codeOf(() => void new EventValidator({ maxDataBytes: -1 }))).toBe('INVALID_CONFIG');
});

test('sanitize copies, and drops what is dangerous', () => {
  const dirty = JSON.parse(
    '{"a":"x\\u0000y\\n","__proto__":{"admin":true},"list":[{"constructor":1}]}',
  );
  const clean = validator.sanitize(dirty);
  expect(clean).toEqual({ a: 'xy\n', list: [{}] });
  expect((clean as { admin?: boolean }).admin).toBeUndefined();
  expect(dirty.a).toBe('x\u0000y\n');
  expect(codeOf(() => validator.sanitize(1n))).toBe('INVALID_DATA');
});
