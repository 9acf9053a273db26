// Circles in a graph of files.

/** The strongly connected parts of more than one file (Tarjan's algorithm, without recursion), each sorted. */
export function circlesOf(imports) {
  const next = new Map();
  for (const { from, to } of imports) {
    if (!next.has(from)) next.set(from, new Set());
    if (!next.has(to)) next.set(to, new Set());
    next.get(from).add(to);
  }
  const order = new Map();
  const low = new Map();
  const stack = [];
  const open = new Set();
  const circles = [];
  const enter = (file) => {
    order.set(file, order.size);
    low.set(file, order.get(file));
    stack.push(file);
    open.add(file);
    return { file, rest: [...next.get(file)] };
  };
  const leave = (file) => {
    if (low.get(file) !== order.get(file)) return;
    const part = [];
    let last;
    do {
      last = stack.pop();
      open.delete(last);
      part.push(last);
    } while (last !== file);
    if (part.length > 1) circles.push(part.sort());
  };
  for (const start of [...next.keys()].sort()) {
    if (order.has(start)) continue;
    const path = [enter(start)];
    while (path.length > 0) {
      const { file, rest } = path.at(-1);
      const to = rest.pop();
      if (to === undefined) {
        leave(file);
        path.pop();
        const above = path.at(-1)?.file;
        if (above !== undefined) low.set(above, Math.min(low.get(above), low.get(file)));
      } else if (!order.has(to)) path.push(enter(to));
      else if (open.has(to)) low.set(file, Math.min(low.get(file), order.get(to)));
    }
  }
  return circles.sort((a, b) => b.length - a.length || a[0].localeCompare(b[0]));
}
