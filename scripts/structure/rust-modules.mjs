// The modules of a Rust crate: what each defines, imports and names.

import { dirname, join, normalize } from 'node:path/posix';
import { behindBracket, isIdentifier, pathAttributes, tokensOf } from './rust-tokens.mjs';

const DEFINES = new Set(['struct', 'enum', 'union', 'trait', 'fn', 'const', 'static', 'type']);

class Module {
  /** Names of modules declared here. */
  modules = new Map();
  /** Names of items defined here. */
  definitions = new Set();
  /** Imports: the path, the name here (`null` of a glob), whether others see it, and the line. */
  uses = [];
  /** Paths in the code: the segments, and the line. */
  paths = [];
  /** Identifiers in the code, but for those of imports. */
  identifiers = new Set();
  /** Inherent `impl` blocks: the path of the type, and the line. */
  impls = [];

  constructor(file, parent) {
    this.file = file;
    this.parent = parent;
    this.root = parent?.root ?? this;
  }
}

/** Reads the tree of an import from `at`: `a::{b, c as d, e::*}`. Returns the index behind it. */
function readTree(tokens, at, prefix, add) {
  let i = at;
  const path = [...prefix];
  if (tokens[i]?.text === '::') i += 1;
  for (;;) {
    const token = tokens[i];
    if (token?.text === '{') {
      i += 1;
      while (tokens[i] !== undefined && tokens[i].text !== '}') {
        i = readTree(tokens, i, path, add);
        if (tokens[i]?.text === ',') i += 1;
      }
      return i + 1;
    }
    if (token?.text === '*') {
      add(path, null, token.line);
      return i + 1;
    }
    if (!isIdentifier(token)) return i + 1;
    // `a::{self}` is `a`.
    if (!(token.text === 'self' && path.length > 0)) path.push(token.text);
    i += 1;
    if (tokens[i]?.text === '::') {
      i += 1;
      continue;
    }
    let name = path.at(-1);
    if (tokens[i]?.text === 'as') {
      name = tokens[i + 1].text;
      i += 2;
    }
    add(path, name, token.line);
    return i;
  }
}

/** The type of an inherent `impl` at `at`, as a path; `null` of an implementation of a trait. */
function inherentType(tokens, at) {
  let i = at + 1;
  let depth = 0;
  let path = [];
  for (; i < tokens.length && tokens[i].text !== '{' && tokens[i].text !== ';'; i += 1) {
    const { text } = tokens[i];
    if (text === '<') depth += 1;
    else if (text === '>' && tokens[i - 1].text !== '-') depth -= 1;
    else if (depth === 0 && text === 'for') return null;
    else if (depth === 0 && text === 'where') break;
    else if (
      depth === 0 &&
      isIdentifier(tokens[i]) &&
      !['dyn', 'mut', 'const', 'unsafe'].includes(text)
    ) {
      path = tokens[i - 1]?.text === '::' ? [...path, text] : [text];
    }
  }
  return path.length > 0 ? path : null;
}

/** Reads the body of a module from `at` until the bracket that closes it, or the end. */
function readBody(module, tokens, at, declare) {
  let depth = 0;
  for (let i = at; i < tokens.length; ) {
    const { text, line } = tokens[i];
    const next = tokens[i + 1];
    if (text === '{') depth += 1;
    if (text === '}') {
      if (depth === 0) return i + 1;
      depth -= 1;
    }
    if (text === 'mod' && isIdentifier(next) && [';', '{'].includes(tokens[i + 2]?.text)) {
      const inline = tokens[i + 2].text === '{';
      const child = inline ? new Module(module.file, module) : declare(module, next.text);
      if (child !== undefined) module.modules.set(next.text, child);
      i = inline ? readBody(child, tokens, i + 3, declare) : i + 3;
      continue;
    }
    if (text === 'use' && (isIdentifier(next) || next?.text === '::' || next?.text === '{')) {
      const exported = tokens[i - 1]?.text === 'pub' || isRestricted(tokens, i);
      i = readTree(tokens, i + 1, [], (path, name, at) =>
        module.uses.push({ path, name, exported, line: at }),
      );
      continue;
    }
    if (text === 'macro_rules' && isIdentifier(tokens[i + 2])) {
      module.definitions.add(tokens[i + 2].text);
      i = behindBracket(tokens, i + 3);
      continue;
    }
    if (depth === 0 && DEFINES.has(text) && isIdentifier(next)) module.definitions.add(next.text);
    // Within code `impl` begins a type (`impl Fn()`), at the top of a module an implementation.
    if (text === 'impl' && depth === 0 && startsItem(tokens[i - 1])) {
      const path = inherentType(tokens, i);
      if (path !== null) module.impls.push({ path, line });
    }
    i =
      isIdentifier(tokens[i]) && tokens[i - 1]?.text !== '::' ? readPath(module, tokens, i) : i + 1;
  }
  return tokens.length;
}

/** Whether an item may begin behind this token. */
const startsItem = (before) =>
  before === undefined || ['}', ';', 'unsafe', '{'].includes(before.text);

/** Whether `pub(crate)` or the like is before the token at `at`. */
function isRestricted(tokens, at) {
  if (tokens[at - 1]?.text !== ')') return false;
  for (let i = at - 2; i >= 0 && at - i < 12; i -= 1) {
    if (tokens[i].text === '(') return tokens[i - 1]?.text === 'pub';
  }
  return false;
}

function readPath(module, tokens, at) {
  const segments = [tokens[at].text];
  let i = at + 1;
  while (tokens[i]?.text === '::' && isIdentifier(tokens[i + 1])) {
    segments.push(tokens[i + 1].text);
    i += 2;
  }
  module.identifiers.add(segments[0]);
  if (segments.length > 1) module.paths.push({ path: segments, line: tokens[at].line });
  return i;
}

/**
 * Reads the crate whose root is the file `root`; `files` gives texts by path. Returns all its modules.
 * In a program of tests nothing is left out as being for tests.
 */
export function readCrate(files, root, options = {}) {
  const modules = [];
  function readFile(file, parent, folder) {
    const module = new Module(file, parent);
    const text = files.get(file);
    const paths = pathAttributes(text);
    const declare = (within, name) => {
      const inner = within === module ? folder : join(folder, nameOf(within, module));
      const candidates = paths.has(name)
        ? [normalize(join(dirname(file), paths.get(name)))]
        : [join(inner, `${name}.rs`), join(inner, name, 'mod.rs')];
      const found = candidates.find((path) => files.has(path));
      if (found === undefined) return undefined;
      const isFolder = found.endsWith('/mod.rs');
      return readFile(found, within, isFolder ? dirname(found) : found.slice(0, -'.rs'.length));
    };
    readBody(module, tokensOf(text, options), 0, declare);
    const collect = (each) => {
      modules.push(each);
      for (const child of each.modules.values()) if (child.file === file) collect(child);
    };
    collect(module);
    return module;
  }
  readFile(root, undefined, dirname(root));
  return modules;
}

function nameOf(inner, outer) {
  const names = [];
  for (let module = inner; module !== outer; module = module.parent) {
    names.unshift([...module.parent.modules].find(([, child]) => child === module)?.[0] ?? '');
  }
  return names.join('/');
}
