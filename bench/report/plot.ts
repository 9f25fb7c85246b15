/** One plot as SVG: lines over two axes, either of them logarithmic. */
import type { Plot } from '../result.ts';

const WIDTH = 720;
const HEIGHT = 380;
const LEFT = 70;
const RIGHT = 190;
const TOP = 30;
const BOTTOM = 50;
/** Told apart by people who see fewer colours than others (Okabe and Ito). */
const COLOURS = [
  '#0072b2',
  '#d55e00',
  '#009e73',
  '#cc79a7',
  '#e69f00',
  '#56b4e9',
  '#000000',
  '#999999',
];
const TICKS_MAX = 8;
const TICK_STEPS = [1, 2, 5, 10];

interface Axis {
  readonly place: (value: number) => number;
  readonly ticks: readonly number[];
}

export function plotSvg({ title, x, y, lines }: Plot): string {
  const all = lines.flatMap(({ points }) => points);
  const across = axisOf(
    all.map(([value]) => value),
    x.log,
    LEFT,
    WIDTH - RIGHT,
  );
  const up = axisOf(
    all.map(([, value]) => value),
    y.log,
    HEIGHT - BOTTOM,
    TOP,
  );
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="${escapeText(title)}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(LEFT, 18, title, 'start', 'font-weight="bold"'),
    ...across.ticks.map((tick) => tickAcross(across.place(tick), tick)),
    ...up.ticks.map((tick) => tickUp(up.place(tick), tick)),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x.label, 'middle'),
    `<g transform="translate(16 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)">${text(0, 0, y.label, 'middle')}</g>`,
    ...lines.map(({ name, points }, i) => {
      const colour = COLOURS[i % COLOURS.length] ?? '#000';
      const path = points
        .map(([px, py]) => `${across.place(px).toFixed(1)},${up.place(py).toFixed(1)}`)
        .join(' ');
      const legendY = TOP + 10 + 18 * i;
      return [
        `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        `<rect x="${WIDTH - RIGHT + 12}" y="${legendY - 8}" width="12" height="4" fill="${colour}"/>`,
        text(WIDTH - RIGHT + 30, legendY, name, 'start'),
      ].join('');
    }),
    '</svg>',
  ];
  return parts.join('\n');
}

function tickAcross(at: number, value: number): string {
  const line = `<line x1="${at}" x2="${at}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" stroke="#ddd"/>`;
  return line + text(at, HEIGHT - BOTTOM + 16, label(value), 'middle');
}

function tickUp(at: number, value: number): string {
  const line = `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}" stroke="#ddd"/>`;
  return line + text(LEFT - 6, at + 4, label(value), 'end');
}

function text(x: number, y: number, content: string, anchor: string, more = ''): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" ${more}>${escapeText(content)}</text>`;
}

function label(value: number): string {
  if (value >= 1e6) return `${value / 1e6} M`;
  return value >= 1e4 ? `${value / 1e3} k` : String(Number(value.toPrecision(6)));
}

function axisOf(values: readonly number[], log: boolean, from: number, to: number): Axis {
  const usable = values.filter((value) => Number.isFinite(value) && (!log || value > 0));
  const [low, high] = [Math.min(...usable), Math.max(...usable)];
  return log ? logAxis(low, high, from, to) : linearAxis(Math.min(0, low), high, from, to);
}

function linearAxis(low: number, high: number, from: number, to: number): Axis {
  const span = high - low || 1;
  const decade = 10 ** Math.floor(Math.log10(span / TICKS_MAX));
  const step = decade * (TICK_STEPS.find((one) => span / (decade * one) <= TICKS_MAX) ?? 10);
  const end = low + Math.ceil(span / step) * step;
  const ticks: number[] = [];
  for (let i = 0; low + i * step <= end + step / 2; i++) ticks.push(low + i * step);
  return { place: (value) => from + ((value - low) / (end - low)) * (to - from), ticks };
}

function logAxis(low: number, high: number, from: number, to: number): Axis {
  const first = Math.floor(Math.log10(low));
  const last = Math.max(first + 1, Math.ceil(Math.log10(high)));
  const ticks: number[] = [];
  for (let power = first; power <= last; power++) ticks.push(10 ** power);
  const place = (value: number): number =>
    from + ((Math.log10(Math.max(value, 10 ** first)) - first) / (last - first)) * (to - from);
  return { place, ticks };
}

export function escapeText(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
