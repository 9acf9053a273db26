/** Answers as the engine gives them to those who want events as objects. */

/** An answer whose events, which are JSON texts, come beside it: `put` takes one and says its index. */
export function withEventsBeside(answer: any, put: (text: string) => number): any {
  if (typeof answer === 'string') return put(answer);
  if (Array.isArray(answer)) return answer.map((one) => withEventsBeside(one, put));
  if (typeof answer !== 'object' || answer === null) return answer;
  const { event, events } = answer;
  return {
    ...answer,
    ...(typeof event === 'string' && { event: put(event) }),
    ...(events !== undefined && { events: withEventsBeside(events, put) }),
  };
}
