// Which file of a Rust crate imports from which.

/** What a path leads to: a module, or the item `name` defined in `file`. */
const item = (module, name) => ({ file: module.file, name });

function fromName(module, name, more, seen) {
  const child = module.modules.get(name);
  if (more && child !== undefined) return { module: child };
  if (!more && module.definitions.has(name)) return item(module, name);
  const imported = module.uses
    .filter((use) => use.name === name)
    .map((use) => follow(module, use, seen));
  const found = imported.find(
    (target) => target !== undefined && (target.module !== undefined) === more,
  );
  if (found !== undefined) return found;
  if (module.definitions.has(name)) return item(module, name);
  const other = imported.find((target) => target !== undefined);
  if (other !== undefined) return other;
  if (child !== undefined) return { module: child };
  for (const use of module.uses.filter((each) => each.name === null)) {
    const target = follow(module, use, seen)?.module;
    const behind = target && target !== module && through(target, name, more, seen);
    if (behind) return behind;
  }
  return undefined;
}

/** Looks a name up behind a glob, once for each module. */
function through(module, name, more, seen) {
  const key = `${module.file} ${name}`;
  if (seen.has(key)) return undefined;
  return fromName(module, name, more, new Set(seen).add(key));
}

function follow(module, use, seen) {
  if (seen.has(use)) return undefined;
  return resolve(module, use.path, new Set(seen).add(use));
}

/** What a path in a module leads to; `undefined` outside the crate. Re-exports are followed to the definition. */
export function resolve(module, path, seen = new Set()) {
  let at = module;
  let i = 0;
  if (path[0] === 'crate') {
    at = module.root;
    i = 1;
  } else {
    for (; path[i] === 'self' || path[i] === 'super'; i += 1) {
      if (path[i] === 'super') at = at?.parent;
      if (at === undefined) return undefined;
    }
  }
  for (; i < path.length; i += 1) {
    const target = fromName(at, path[i], i < path.length - 1, seen);
    if (target === undefined) return undefined;
    // What follows an item are its variants and associated items.
    if (target.module === undefined) return target;
    at = target.module;
  }
  return { module: at };
}

/** The imports of all files: from the file, to the file, the name, and the line. */
export function importsOf(modules) {
  const imports = [];
  for (const module of modules) {
    const add = (path, line) => {
      const target = resolve(module, path);
      if (target?.file !== undefined && target.file !== module.file) {
        imports.push({ from: module.file, to: target.file, name: target.name, line });
      }
    };
    for (const { path, name, exported, line } of module.uses) {
      // A re-export passes a name on; it is an import where the file uses the name itself.
      if (name === null) addGlob(module, path, exported, line, imports);
      else if (!exported || module.identifiers.has(name)) add(path, line);
    }
    for (const { path, line } of module.paths) add(path, line);
  }
  return imports;
}

function addGlob(module, path, exported, line, imports) {
  const target = resolve(module, path);
  const file = target?.file ?? target?.module?.file;
  if (exported || file === undefined || file === module.file) return;
  if (target.module !== undefined && target.module.definitions.size === 0) return;
  imports.push({ from: module.file, to: file, name: '*', line });
}

/** The inherent `impl` blocks of each type: its name, the file that defines it, and where the blocks are. */
export function implementationsOf(modules) {
  const types = new Map();
  for (const module of modules) {
    for (const { path, line } of module.impls) {
      const target = resolve(module, path);
      if (target?.file === undefined) continue;
      const key = `${target.file} ${target.name}`;
      const blocks = types.get(key)?.blocks ?? [];
      blocks.push({ file: module.file, line });
      types.set(key, { name: target.name, file: target.file, blocks });
    }
  }
  return [...types.values()];
}
