/** Rows below headings, with columns of equal width. */

import type { Terminal } from './terminal';

export type Cell = string | number | null;

/** A column: its heading, and whether its cells are numbers, which stand at the right. */
export interface Column {
  readonly title: string;
  readonly isNumber?: boolean;
}

const GAP = '  ';
/** So many rows decide how wide columns are; later ones may stand out. */
const MEASURED = 200;

export class Table {
  readonly #terminal: Terminal;
  readonly #columns: readonly Column[];
  #waiting: string[][] = [];
  #widths: number[] | undefined;

  constructor(terminal: Terminal, columns: readonly Column[]) {
    this.#terminal = terminal;
    this.#columns = columns;
  }

  add(...cells: Cell[]): void {
    const row = cells.map((cell) => shown(cell));
    if (this.#widths !== undefined) {
      this.#write(row);
      return;
    }
    this.#waiting.push(row);
    if (this.#waiting.length >= MEASURED) this.flush();
  }

  /** Writes what waits to be measured. Called at the end of a page, so that its rows are seen before the next one comes. */
  flush(): void {
    if (this.#waiting.length === 0) return;
    if (this.#widths === undefined) {
      const all = [this.#columns.map(({ title }) => title), ...this.#waiting];
      this.#widths = this.#columns.map((_, at) => Math.max(...all.map((row) => widthOf(row[at]))));
      this.#write(
        this.#columns.map(({ title }) => title),
        true,
      );
    }
    for (const row of this.#waiting.splice(0)) this.#write(row);
    this.#terminal.flush();
  }

  #write(row: readonly string[], isHead = false): void {
    const widths = this.#widths ?? [];
    const last = row.length - 1;
    const cells = row.map((cell, at) => {
      const fill = ' '.repeat(Math.max(0, (widths[at] ?? 0) - widthOf(cell)));
      if (this.#columns[at]?.isNumber === true) return fill + cell;
      return at === last ? cell : cell + fill;
    });
    const line = cells.join(GAP).trimEnd();
    const cut =
      line.length > this.#terminal.width ? `${line.slice(0, this.#terminal.width - 1)}…` : line;
    this.#terminal.line(isHead ? this.#terminal.paint(cut, 'dim') : cut);
  }
}

const widthOf = (text: string | undefined) => [...(text ?? '')].length;

/** A terminal would obey control characters, and a line break would end the row. */
export function shown(cell: Cell): string {
  if (cell === null) return '-';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is replaced
  return String(cell).replace(/[\x00-\x1f\x7f-\x9f]/g, escaped);
}

/** As JSON writes it; that leaves the controls of 8 bits as they are, which some terminals obey. */
function escaped(control: string): string {
  const text = JSON.stringify(control).slice(1, -1);
  return text === control ? `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}` : text;
}

/** A time span for people. */
export function span(ms: number | null): string {
  if (ms === null) return '-';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const steps: [number, string][] = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1000, 's'],
  ];
  const [size, unit] = steps.find(([step]) => ms >= step) ?? [1000, 's'];
  return `${Math.floor(ms / size)} ${unit}`;
}

/** How long ago a moment is, for people. */
export const ago = (ms: number, now = Date.now()): string =>
  now - ms < 1000 ? 'now' : `${span(now - ms)} ago`;
