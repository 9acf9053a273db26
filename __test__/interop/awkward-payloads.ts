/** Payloads that formats are likely to damage. */
export const awkwardPayloads: [string, Record<string, unknown>][] = [
  ['quotes', { campaignId: '7', timerId: 't', text: 'she said "no" \\ \' \u0001 {"a":1}' }],
  ['non-Latin letters', { campaignId: '7', timerId: 't', text: 'ключ 鍵 😀 مفتاح' }],
  ['nested nulls', { campaignId: '7', timerId: 't', a: null, b: [null, { c: null, d: [null] }] }],
  ['1 MiB', { campaignId: '7', timerId: 't', text: 'é'.repeat(1 << 19) }],
];

/** Limits under which all of them are published. */
export const roomy = { validation: { maxEventBytes: 4 << 20, maxDataBytes: 3 << 20 } };
