/**
 * Bugs of the protocol, planted one at a time into a copy of the compiled code, each to be caught by the simulator: one
 * that cannot fail is no evidence. A mutant is `dist/consensus` in a temporary folder with one piece of text replaced; if
 * that text is not there exactly once, the code has changed and the list has to follow, loudly.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { loadProtocol, type Protocol, REAL_CONSENSUS, type Weakness } from './protocol.ts';
import type { Overrides } from './scenario.ts';

/** What every mutation says of itself. */
interface Description {
  readonly name: string;
  /** What is wrong, and the rule of docs/protocol.md that it breaks. */
  readonly bug: string;
  /** Runs of this kind show it soonest. */
  readonly where: Omit<Overrides, 'replicas'>;
  /** To be caught within so many seeds, from the first on. */
  readonly withinSeeds: number;
  /** It takes so rare a story that no seed in reach tells it: this test fails with the bug instead. */
  readonly elsewhere?: string;
}

export interface CodeMutation extends Description {
  /** Below dist/consensus. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** A mutant of what the simulation stands for: the transport, or the process around a core. */
export interface WorldMutation extends Description {
  readonly weakness: Weakness;
}

export type Mutation = CodeMutation | WorldMutation;

/** Where the compiled code lies, this file's own too. */
const DIST = fileURLToPath(new URL('../../', import.meta.url));
/** What the core and its formats are made of. */
const PARTS = ['consensus/core', 'consensus/wire'];

/** A copy of what is compiled. The caller disposes of it. */
export interface Copy {
  /** Holds `dist`, and says that its files are modules. */
  readonly folder: string;
  readonly dispose: () => void;
}

/** Copies these folders of `dist` into a temporary folder. */
export function copyCompiled(parts: readonly string[]): Copy {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-mutant-'));
  const dispose = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    for (const part of parts) {
      const filter = (path: string): boolean => !/\.(?:map|d\.ts)$/.test(path);
      cpSync(join(DIST, part), join(folder, 'dist', part), { recursive: true, filter });
    }
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n');
    return { folder, dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** Puts the bug into the copy; answers the folder of its `consensus`. */
export function plantInto({ folder }: Copy, mutation: CodeMutation): string {
  const consensus = join(folder, 'dist', 'consensus');
  writeFileSync(join(consensus, mutation.file), mutatedText(mutation));
  return consensus;
}

/** A fresh copy of the code with the bug in it. The caller disposes of it. */
export async function plant(
  mutation: Mutation,
): Promise<{ protocol: Protocol; dispose: () => void }> {
  if ('weakness' in mutation) {
    const protocol = { ...(await loadProtocol()), weakness: mutation.weakness };
    return { protocol, dispose: () => {} };
  }
  const copy = copyCompiled(PARTS);
  const { dispose } = copy;
  try {
    const consensus = plantInto(copy, mutation);
    return { protocol: await loadProtocol(pathToFileURL(`${consensus}/`)), dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** The mutant's file. */
export function mutatedText(mutation: CodeMutation): string {
  const path = fileURLToPath(new URL(mutation.file, REAL_CONSENSUS));
  return replaceOnce(readFileSync(path, 'utf8'), mutation);
}

/** Throws when the text to replace is not there exactly once. */
export function replaceOnce(text: string, { name, file, find, replace }: CodeMutation): string {
  const times = text.split(find).length - 1;
  if (times !== 1) {
    throw new Error(`mutation ${name}: its text is in ${file} ${times} times, not once:\n${find}`);
  }
  return text.replace(find, () => replace);
}
