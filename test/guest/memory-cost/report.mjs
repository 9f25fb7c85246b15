/** From what the program printed to the table and the plot of docs/rdma.md. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SetupError } from '../../../scripts/setup/errors.mjs';
import { ROOT } from '../../../scripts/setup/paths.mjs';
import { plot } from './plot.mjs';

const PREFIX = 'memory-cost ';
const PAGE = join(ROOT, 'docs', 'rdma.md');
const IMAGE = join(ROOT, 'docs', 'images', 'memory-cost.svg');
const BEGIN = '<!-- memory-cost: written by `npm run test:rdma -- --memory-cost` -->';
const END = '<!-- memory-cost: end -->';
/** In the order of the table. */
const WAYS = [
  ['copy', 'copied into a registered buffer'],
  ['register', 'registered for each message'],
  ['register-batch', 'registered for 16 messages'],
  ['reregister', 'registration moved (`ibv_rereg_mr`)'],
  ['window', 'window bound and invalidated for each message'],
  ['window-once', 'window bound once'],
];
const BASE = 'prepared';

export function parseFigures(lines) {
  return lines
    .filter((line) => line.startsWith(PREFIX))
    .map((line) => JSON.parse(line.slice(PREFIX.length)));
}

/** Writes the plot, and the tables between their marks in the page. */
export function writeReport(lines) {
  const figures = parseFigures(lines);
  const page = readFileSync(PAGE, 'utf8');
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new SetupError(`${PAGE} has no place for the figures`);
  const tables = [waysTable(figures), pagesTable(figures), rulesList(figures)].join('\n\n');
  mkdirSync(dirname(IMAGE), { recursive: true });
  writeFileSync(IMAGE, plot(waysOf(figures)));
  writeFileSync(PAGE, `${page.slice(0, begin)}${BEGIN}\n\n${tables}\n\n${page.slice(end)}`);
  process.stderr.write(`written: ${PAGE}, ${IMAGE}\n`);
}

/** [{ name, title, points: [{ bytes, ratio, p99Ratio }] }] of what was measured. */
function waysOf(figures) {
  const base = new Map(
    figures.filter(({ way }) => way === BASE).map((figure) => [figure.bytes, figure]),
  );
  return WAYS.map(([name, title]) => ({
    name,
    title,
    points: figures
      .filter(({ way, bytes }) => way === name && bytes !== undefined)
      .map(({ bytes, medianNs, p99Ns }) => ({
        bytes,
        ratio: medianNs / base.get(bytes).medianNs,
        p99Ratio: p99Ns / base.get(bytes).p99Ns,
      })),
  })).filter(({ points }) => points.length > 0);
}

function waysTable(figures) {
  const ways = waysOf(figures);
  const rows = [['size', 'prepared: median / p99, us', ...ways.map(({ title }) => title)]];
  for (const { bytes, medianNs, p99Ns } of figures.filter(({ way }) => way === BASE)) {
    const ratios = ways.map(({ points }) => {
      const { ratio, p99Ratio } = points.find((point) => point.bytes === bytes);
      return `${ratio.toFixed(2)} / ${p99Ratio.toFixed(1)}`;
    });
    rows.push([size(bytes), `${us(medianNs)} / ${us(p99Ns)}`, ...ratios]);
  }
  const missing = figures.filter(({ way, missing: why }) => way !== undefined && why !== undefined);
  const notes = missing.map(({ way, missing: why }) => {
    const title = WAYS.find(([name]) => name === way)?.[1] ?? way;
    return `Not measured, ${title}: the device says "${why}".`;
  });
  return [markdown(rows), ...notes].join('\n\n');
}

function pagesTable(figures) {
  const rows = [['a region of', 'in pages of', 'registered and deregistered: median / p99, us']];
  for (const { pages, bytes, medianNs, p99Ns, missing } of figures) {
    if (pages === undefined) continue;
    rows.push([size(bytes), pages, missing ?? `${us(medianNs)} / ${us(p99Ns)}`]);
  }
  return markdown(rows);
}

function rulesList(figures) {
  return figures
    .filter(({ rule }) => rule !== undefined)
    .map(({ rule, holds }) => `- ${rule}: ${holds ? 'holds' : '**does not hold**'}`)
    .join('\n');
}

function markdown([head, ...rows]) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

export function size(bytes) {
  const units = [
    [2 ** 20, 'MiB'],
    [2 ** 10, 'KiB'],
  ];
  for (const [unit, name] of units) {
    if (bytes >= unit) return `${Number((bytes / unit).toFixed(1))} ${name}`;
  }
  return `${bytes} B`;
}

function us(ns) {
  return Math.round(ns / 1000).toLocaleString('en');
}
