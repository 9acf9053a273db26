const number = (value, digits) =>
  value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });

function cell(value, digits) {
  if (!value) return '';
  const spread = `${number(value.min, digits)}–${number(value.max, digits)}`;
  return `${number(value.median, digits)} (${spread})`;
}

const times = (value) =>
  value ? `×${number(value.median, 2)} (${number(value.min, 2)}–${number(value.max, 2)})` : '';

/** A Markdown table of a case: median (lowest–highest), and how many times better Oxbus is. */
export function caseTable(metrics, { name, contestants, failures }) {
  const header = ['contestant'];
  for (const { label, compared } of metrics) {
    header.push(label);
    if (compared) header.push('oxbus is');
  }
  const rows = contestants.map((contestant) => {
    const row = [contestant.name];
    for (const { key, digits, compared } of metrics) {
      const value = contestant.metrics[key];
      row.push(cell(value, digits));
      if (compared) row.push(times(value?.ratio));
    }
    return row;
  });
  const table = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...table.map((row) => row[column].length)));
  const line = (row) => `| ${row.map((text, column) => text.padEnd(widths[column])).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  const lines = [`### ${name}`, '', line(header), rule, ...rows.map(line)];
  for (const [contestant, message] of Object.entries(failures)) {
    lines.push('', `FAILED ${contestant}: ${message}`);
  }
  return `${lines.join('\n')}\n`;
}
