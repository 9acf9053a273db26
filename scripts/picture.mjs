// `npm run docs:picture`: writes docs/architecture.svg from docs/architecture.dot. With `--check` it writes nothing
// and fails when the file is not what the source gives. The layout is computed by a pinned WebAssembly build of
// Graphviz, which measures text by tables of its own, so every machine gets the same bytes.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Graphviz } from '@hpcc-js/wasm-graphviz';
import { root } from './prepare.mjs';

const SOURCE = join(root, 'docs', 'architecture.dot');
const PICTURE = join(root, 'docs', 'architecture.svg');

/** For each class of the source: fill, line and text, on light pages and on dark ones. */
const COLOURS = {
  layer: { light: ['#f6f8fa', '#afb8c1', '#1f2328'], dark: ['#161b22', '#484f58', '#e6edf3'] },
  inner: { light: ['#eaeef2', '#afb8c1', '#1f2328'], dark: ['#21262d', '#484f58', '#e6edf3'] },
  room: { light: ['#ffffff', '#8c959f', '#1f2328'], dark: ['#2d333b', '#768390', '#e6edf3'] },
  outside: { light: ['#eaeef2', '#57606a', '#1f2328'], dark: ['#373e47', '#8b949e', '#e6edf3'] },
  binding: { light: ['#fff8c5', '#bf8700', '#1f2328'], dark: ['#4b3a00', '#d4a72c', '#e6edf3'] },
  publish: { light: ['#ddf4ff', '#0969da', '#1f2328'], dark: ['#0c2d6b', '#58a6ff', '#e6edf3'] },
  live: { light: ['#dafbe1', '#1a7f37', '#1f2328'], dark: ['#033a16', '#3fb950', '#e6edf3'] },
  stored: { light: ['#fff1e5', '#bc4c00', '#1f2328'], dark: ['#5a1e02', '#f0883e', '#e6edf3'] },
};

/** The rules of one class; an edge has no surface but its arrowhead, which has the colour of its line. */
function rules(name, [fill, line, text]) {
  return [
    `.${name} > polygon, .${name} > path { fill: ${fill}; stroke: ${line}; }`,
    `.${name} text { fill: ${text}; }`,
    `.edge.${name} > path { fill: none; stroke: ${line}; stroke-width: 1.6; }`,
    `.edge.${name} > polygon { fill: ${line}; stroke: ${line}; }`,
  ];
}

function styleSheet() {
  const of = (theme) =>
    Object.entries(COLOURS).flatMap(([name, colours]) => rules(name, colours[theme]));
  const calls = (colour) => [
    `.edge.calls > path { fill: none; stroke: ${colour}; }`,
    `.edge.calls > polygon { fill: ${colour}; stroke: ${colour}; }`,
  ];
  return [
    '.node text:first-of-type, .cluster text:first-of-type, .twobold text { font-weight: 600; }',
    ...of('light'),
    ...calls('#57606a'),
    '@media (prefers-color-scheme: dark) {',
    ...of('dark'),
    ...calls('#8b949e'),
    '}',
  ].join('\n');
}

const graphviz = await Graphviz.load();
const drawn = graphviz.dot(readFileSync(SOURCE, 'utf8'));
const svg = drawn
  // The page shows through, so that one picture suits both kinds of page.
  .replace(/<polygon fill="white" stroke="none"[^>]*\/>\n/, '')
  .replace(/(<svg [^>]*>\n)/, `$1<style>\n${styleSheet()}\n</style>\n`);

if (process.argv.includes('--check')) {
  if (readFileSync(PICTURE, 'utf8') !== svg) {
    console.error(
      'docs/architecture.svg is not what docs/architecture.dot gives: npm run docs:picture',
    );
    process.exitCode = 1;
  }
} else {
  writeFileSync(PICTURE, svg);
}
