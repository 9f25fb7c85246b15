/** What a run of the bench says: `bench.json` is this, and the report draws it. */
import type { Distribution } from './statistics.ts';

export interface Machine {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly sluice: string;
  /** Of the sources; `+` when there were changes besides. */
  readonly commit: string;
  /** 1-minute load average when the run began: anything above 0 shares the machine with the figures. */
  readonly loadAverage: number;
  /** What SHA-256 of 256 bytes took then (`crypto.hash`), microseconds: the machine's speed, which changes. */
  readonly sha256Us: number;
  /** Set where the processor itself is emulated: nothing here is a figure of real hardware. */
  readonly emulated: string | undefined;
}

/** How a thing was measured: payload, signatures, durability, wait mode, and whatever else it depends on. */
export type Parameters = Readonly<Record<string, string | number>>;

export interface Series {
  readonly name: string;
  readonly parameters: Parameters;
  /** Of single events, in the section's unit. */
  readonly distribution?: Distribution;
  /** Named figures with their units in their names (`tx/s`, `CPU us per slot`). */
  readonly figures?: Readonly<Record<string, number>>;
}

export interface Plot {
  readonly title: string;
  readonly x: { readonly label: string; readonly log: boolean };
  readonly y: { readonly label: string; readonly log: boolean };
  readonly lines: readonly {
    readonly name: string;
    readonly points: readonly (readonly [number, number])[];
  }[];
}

/** Two things that were measured in this run. */
export interface Ratio {
  readonly name: string;
  readonly value: number;
}

export interface Section {
  readonly name: string;
  readonly title: string;
  /** What was done, for a reader who wants to repeat or doubt it. */
  readonly text: string;
  /** Of the distributions. */
  readonly unit: string;
  readonly series: readonly Series[];
  readonly ratios: readonly Ratio[];
  readonly plots: readonly Plot[];
}

/** A scenario that has no section. */
export interface Failure {
  readonly name: string;
  readonly title: string;
  readonly reason: string;
}

export interface Result {
  readonly version: 1;
  readonly machine: Machine;
  readonly sections: readonly Section[];
  readonly failures: readonly Failure[];
}

/** Latency distributions side by side: how many of all events took at most so long. */
export function latencyPlot(title: string, unit: string, series: readonly Series[]): Plot {
  return {
    title,
    x: { label: unit, log: true },
    y: { label: 'share of events', log: false },
    lines: series.flatMap(({ name, distribution }) =>
      distribution === undefined
        ? []
        : [{ name, points: distribution.points.map(([share, value]) => [value, share] as const) }],
    ),
  };
}
