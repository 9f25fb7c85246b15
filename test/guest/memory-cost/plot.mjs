/** The ratios as one SVG that needs nothing else: both axes logarithmic, a line for each way. */
const WIDTH = 860;
const HEIGHT = 470;
const FRAME = { left: 60, top: 66, right: 560, bottom: 400 };
const COLOURS = {
  copy: '#0b6e4f',
  register: '#c1121f',
  'register-batch': '#e07a1f',
  reregister: '#7a4f9a',
  window: '#1d4ed8',
  'window-once': '#5aa9e6',
};
const RATIOS = [0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100];

/** `ways`: [{ name, title, points: [{ bytes, ratio }] }]. */
export function plot(ways) {
  const points = ways.flatMap((way) => way.points);
  const scale = scales(points);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="13" role="img">`,
    '<title>Cost of a message, relative to one from a buffer that is registered already</title>',
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text(FRAME.left, 26, 'Time of one RDMA WRITE, relative to one from a registered buffer', {
      'font-size': 16,
      'font-weight': 'bold',
    }),
    text(
      FRAME.left,
      46,
      'medians; Soft-RoCE under emulation: ratios of this software device, not of hardware',
      { fill: '#555' },
    ),
    ...axes(points, scale),
    ...ways.map((way) => line(way, scale)),
    ...legend(ways),
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

function scales(points) {
  const along = (values, from, to) => {
    const [low, high] = [Math.log(Math.min(...values)), Math.log(Math.max(...values))];
    return (value) =>
      Number((from + ((Math.log(value) - low) / (high - low)) * (to - from)).toFixed(1));
  };
  const ratios = points.map(({ ratio }) => ratio);
  const low = RATIOS.findLast((ratio) => ratio <= Math.min(...ratios)) ?? RATIOS[0];
  const high = RATIOS.find((ratio) => ratio >= Math.max(...ratios)) ?? RATIOS.at(-1);
  const bytes = points.map((point) => point.bytes);
  return {
    x: along(bytes, FRAME.left + 20, FRAME.right - 20),
    y: along([low, high], FRAME.bottom, FRAME.top),
    ticks: RATIOS.filter((ratio) => ratio >= low && ratio <= high),
  };
}

function axes(points, { x, y, ticks }) {
  const sizes = [...new Set(points.map(({ bytes }) => bytes))].sort((a, b) => a - b);
  return [
    ...ticks.flatMap((ratio) => [
      `<line x1="${FRAME.left}" x2="${FRAME.right}" y1="${y(ratio)}" y2="${y(ratio)}" stroke="${ratio === 1 ? '#333' : '#ddd'}"/>`,
      text(FRAME.left - 8, y(ratio) + 4, `${ratio}x`, { 'text-anchor': 'end' }),
    ]),
    ...sizes.map((bytes) =>
      text(x(bytes), FRAME.bottom + 22, short(bytes), { 'text-anchor': 'middle' }),
    ),
    text((FRAME.left + FRAME.right) / 2, FRAME.bottom + 48, 'bytes of the message', {
      'text-anchor': 'middle',
    }),
  ];
}

function line({ name, points }, { x, y }) {
  const colour = COLOURS[name];
  const path = points.map(({ bytes, ratio }) => `${x(bytes)},${y(ratio)}`);
  const dots = path.map((at) => {
    const [cx, cy] = at.split(',');
    return `<circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`;
  });
  return `<polyline points="${path.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join('')}`;
}

function legend(ways) {
  return ways.flatMap(({ name, title }, index) => {
    const y = FRAME.top + 16 + index * 24;
    const x = FRAME.right + 16;
    return [
      `<line x1="${x}" x2="${x + 18}" y1="${y - 4}" y2="${y - 4}" stroke="${COLOURS[name]}" stroke-width="3"/>`,
      text(x + 24, y, title.replaceAll('`', ''), { 'font-size': 11 }),
    ];
  });
}

function text(x, y, words, attributes = {}) {
  const rest = Object.entries(attributes).map(([name, value]) => ` ${name}="${value}"`);
  return `<text x="${x}" y="${y}"${rest.join('')}>${words}</text>`;
}

function short(bytes) {
  if (bytes >= 2 ** 20) return `${bytes / 2 ** 20} Mi`;
  return bytes >= 2 ** 10 ? `${bytes / 2 ** 10} Ki` : `${bytes}`;
}
