/** The result as one page that needs nothing else. */
import type { Failure, Machine, Result, Section, Series } from '../result.ts';
import { quantileOf } from '../statistics.ts';
import { escapeText, plotSvg } from './plot.ts';

const STYLE = `body{font:15px/1.5 sans-serif;margin:2em auto;max-width:64em;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0;font-size:13px}td,th{border-bottom:1px solid #ddd;padding:.25em .7em;text-align:right}
td:first-child,th:first-child,td.words{text-align:left}svg{max-width:100%;height:auto}.warning{background:#fff3cd;padding:.5em 1em}`;
const QUANTILES = [0.5, 0.9, 0.99, 0.999, 1] as const;

export function htmlReport({ machine, sections, failures }: Result): string {
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sluice bench, ${escapeText(machine.date)}</title><style>${STYLE}</style>
<h1>Sluice bench</h1>
${machineHtml(machine)}
${failures.map(failureHtml).join('\n')}
${sections.map(sectionHtml).join('\n')}
</html>
`;
}

function machineHtml(machine: Machine): string {
  const rows = [
    ['measured', machine.date],
    [
      'machine',
      `${machine.cores} cores, ${machine.cpu}, ${machine.memoryGiB} GiB, Linux ${machine.kernel}`,
    ],
    ['versions', `Sluice ${machine.sluice} (${machine.commit}), Node.js ${machine.node}`],
    ['load before', machine.loadAverage.toFixed(2)],
    ['SHA-256 of 256 B before', `${machine.sha256Us.toFixed(2)} us`],
  ];
  const table = rows
    .map(
      ([name = '', value = '']) =>
        `<tr><th>${name}</th><td class="words">${escapeText(value)}</td></tr>`,
    )
    .join('');
  const warning =
    machine.emulated === undefined
      ? ''
      : `<p class="warning">Emulated: ${escapeText(machine.emulated)}. Ratios may mean something; absolute figures mean nothing.</p>`;
  return `${warning}<table>${table}</table>`;
}

function failureHtml({ name, title, reason }: Failure): string {
  return `<p class="warning">Not measured: ${escapeText(title)} (${name}). ${escapeText(reason)}</p>`;
}

function sectionHtml(section: Section): string {
  const ratios = section.ratios
    .map(({ name, value }) => `<li>${escapeText(name)}: <b>${value.toFixed(3)}</b></li>`)
    .join('');
  return `<h2 id="${section.name}">${escapeText(section.title)}</h2>
<p>${escapeText(section.text)}</p>
${section.plots.map(plotSvg).join('\n')}
${seriesTable(section)}
${ratios === '' ? '' : `<p>Ratios of this run:</p><ul>${ratios}</ul>`}`;
}

function seriesTable({ series, unit }: Section): string {
  const figures = [...new Set(series.flatMap((one) => Object.keys(one.figures ?? {})))];
  const distributed = series.some(({ distribution }) => distribution !== undefined);
  const quantiles = distributed ? QUANTILES : [];
  const head = [
    '<th></th>',
    ...quantiles.map((quantile) => `<th>${nameOf(quantile)} ${unit}</th>`),
    ...(distributed ? ['<th>events</th>'] : []),
    ...figures.map((figure) => `<th>${escapeText(figure)}</th>`),
    '<th>measured with</th>',
  ].join('');
  const rows = series.map((one) => seriesRow(one, quantiles, distributed, figures)).join('\n');
  return `<table><tr>${head}</tr>${rows}</table>`;
}

function seriesRow(
  { name, distribution, figures: own = {}, parameters }: Series,
  quantiles: readonly (typeof QUANTILES)[number][],
  distributed: boolean,
  figures: readonly string[],
): string {
  const cells = quantiles.map((quantile) =>
    distribution === undefined ? '' : number(quantileOf(distribution, quantile)),
  );
  if (distributed) cells.push(distribution === undefined ? '' : String(distribution.count));
  cells.push(...figures.map((figure) => (own[figure] === undefined ? '' : number(own[figure]))));
  const how = Object.entries(parameters)
    .map(([key, value]) => `${key} ${value}`)
    .join(', ');
  return `<tr><td>${escapeText(name)}</td>${cells.map((cell) => `<td>${cell}</td>`).join('')}<td class="words">${escapeText(how)}</td></tr>`;
}

function nameOf(quantile: number): string {
  return quantile === 1 ? 'max' : `p${Number((100 * quantile).toFixed(2))}`;
}

function number(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
