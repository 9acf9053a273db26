/** The fenced blocks of a page: what stands behind the first fence, the body, and where the block begins. */
export function fences(text: string): { info: string; body: string; index: number }[] {
  const found = [...text.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)];
  return found.map(({ 1: info = '', 2: body = '', index }) => ({ info, body, index }));
}
