/** What a parser of others reads in the text of metrics. */

interface Family {
  name: string;
  type: string;
  metrics: { labels?: Record<string, string>; value: string }[];
}

// It has no types of its own.
const parse: (text: string) => Family[] = require('parse-prometheus-text-format');

/** A page as Prometheus would read it. */
export class Page {
  /** The types of the families, by name. */
  readonly types: Map<string, string>;
  readonly #series = new Map<string, { labels: Record<string, string>; value: number }[]>();

  /** Throws where a family or a series is there twice. */
  constructor(text: string) {
    const families = parse(text);
    this.types = new Map(families.map(({ name, type }) => [name, type]));
    if (this.types.size !== families.length) throw new Error('a family is there twice');
    // The parser forgets the labels of histograms and summaries: without their types it does not.
    const samples = parse(text.replace(/^#.*\n/gm, ''));
    for (const { name, metrics } of samples) {
      const series = metrics.map(({ labels = {}, value }) => ({ labels, value: Number(value) }));
      this.#series.set(name, [...(this.#series.get(name) ?? []), ...series]);
    }
    for (const [name, series] of this.#series) {
      const keys = series.map(({ labels }) => JSON.stringify(Object.entries(labels).sort()));
      if (new Set(keys).size !== keys.length) throw new Error(`a series of ${name} is there twice`);
    }
  }

  /** All samples of a name. */
  all(name: string): { labels: Record<string, string>; value: number }[] {
    return this.#series.get(name) ?? [];
  }

  /** The value of the sample with these labels and no others. */
  value(name: string, labels: Record<string, string> = {}): number | undefined {
    const wanted = Object.entries(labels);
    const found = this.all(name).find(
      (sample) =>
        Object.keys(sample.labels).length === wanted.length &&
        wanted.every(([label, value]) => sample.labels[label] === value),
    );
    return found?.value;
  }
}
