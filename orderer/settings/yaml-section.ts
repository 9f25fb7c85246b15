/**
 * Typed reading of a YAML mapping that remembers where everything stands. A wrong value is noted
 * and reading goes on with a stand-in, so that one run reports all problems of a file;
 * `readYaml` throws when there were any.
 */

import { readFileSync, statSync } from 'node:fs';
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml';
import { SETTINGS_LIMITS } from './defaults.ts';
import { SettingsError, type SettingsProblem } from './errors.ts';
import { suggest } from './suggest.ts';

/** Reads the file and throws SettingsError with everything that is wrong in it. */
export function readYaml<T>(file: string, read: (root: Section) => T): T {
  const problems: SettingsProblem[] = [];
  const report = (line: number, key: string, problem: string): void => {
    problems.push({ file, line, key, problem });
  };
  const text = readText(file);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, stringKeys: true });
  for (const error of document.errors) {
    const [first = ''] = error.message.split('\n');
    report(lines.linePos(error.pos[0]).line, '', first.replace(/ at line.*$/, ''));
  }
  if (problems.length > 0) throw new SettingsError(problems);
  const { contents } = document;
  if (!isMap(contents)) {
    throw new SettingsError([
      { file, line: 1, key: '', problem: 'must be a mapping of keys to values ("key: value")' },
    ]);
  }
  const lineOf = (node: Node): number => lines.linePos(node.range?.[0] ?? 0).line;
  const root = new Section(contents as YAMLMap<Node, Node | null>, '', { report, lineOf });
  const result = read(root);
  root.close();
  if (problems.length > 0) {
    throw new SettingsError(problems.sort((left, right) => left.line - right.line));
  }
  return result;
}

function readText(file: string): string {
  const refuse = (problem: string): never => {
    throw new SettingsError([{ file, line: 1, key: '', problem }]);
  };
  try {
    const { size } = statSync(file);
    if (size > SETTINGS_LIMITS.fileBytesMax) {
      return refuse(`${size} bytes; a settings file has at most ${SETTINGS_LIMITS.fileBytesMax}`);
    }
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof SettingsError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return refuse(
      code === 'ENOENT'
        ? 'there is no such file; sluice init writes one'
        : `cannot be read (${code})`,
    );
  }
}

interface Context {
  readonly report: (line: number, key: string, problem: string) => void;
  readonly lineOf: (node: Node) => number;
}

interface TextRule {
  readonly fallback?: string;
  /** What the text must be, for the message; undefined when it is good. */
  readonly expected?: (text: string) => string | undefined;
}

/** One mapping. Every key that is read counts as known; `close` reports the others. */
export class Section {
  readonly #map: YAMLMap<Node, Node | null>;
  readonly #path: string;
  readonly #context: Context;
  readonly #known = new Set<string>();
  readonly #inner: Section[] = [];

  constructor(map: YAMLMap<Node, Node | null>, path: string, context: Context) {
    this.#map = map;
    this.#path = path;
    this.#context = context;
  }

  /** Line of the first key. */
  get line(): number {
    return this.#context.lineOf(this.#map);
  }

  has(key: string): boolean {
    this.#known.add(key);
    return this.#find(key) !== undefined;
  }

  text(key: string, rule: TextRule = {}): string {
    const value = this.#scalar(key, rule.fallback, 'a text');
    if (value === undefined) return rule.fallback ?? '';
    const { textCharactersMax } = SETTINGS_LIMITS;
    if (typeof value !== 'string' || value === '' || value.length > textCharactersMax) {
      return this.#wrong(key, 'a text', value, '');
    }
    const expected = rule.expected?.(value);
    return expected === undefined ? value : this.#wrong(key, expected, value, value);
  }

  integer(key: string, rule: { min: number; max: number; fallback?: number }): number {
    const range = `${rule.min}..${rule.max}`;
    const value = this.#scalar(key, rule.fallback, range);
    if (value === undefined) return rule.fallback ?? rule.min;
    const good =
      typeof value === 'number' &&
      Number.isSafeInteger(value) &&
      value >= rule.min &&
      value <= rule.max;
    return good ? value : this.#wrong(key, range, value, rule.min);
  }

  choice<T extends string>(key: string, values: readonly T[], fallback?: T): T {
    const expected = values.length === 1 ? `${values[0]}` : `one of ${values.join(', ')}`;
    const value = this.#scalar(key, fallback, expected);
    const found = value === undefined ? fallback : values.find((item) => item === value);
    if (found !== undefined) return found;
    const standIn = values[0] as T;
    return value === undefined ? standIn : this.#wrong(key, expected, value, standIn);
  }

  /** A mapping below this one; undefined (and reported, when required) if absent. */
  section(key: string, presence: 'required' | 'optional'): Section | undefined {
    this.#known.add(key);
    const node = this.#find(key);
    if (node === undefined) {
      if (presence === 'required') this.#missing(key, 'a mapping');
      return undefined;
    }
    if (isMap(node)) return this.#child(node, this.#name(key));
    this.#report(node, key, `must be a mapping of keys to values, found ${shown(node)}`);
    return undefined;
  }

  /** A list of mappings, 1..`max` of them. */
  list<T>(key: string, max: number, read: (item: Section) => T): T[] {
    this.#known.add(key);
    const node = this.#find(key);
    if (node === undefined) {
      this.#missing(key, 'a list');
      return [];
    }
    if (!isSeq<Node>(node) || node.items.length === 0 || node.items.length > max) {
      const found = isSeq(node) ? `${node.items.length} entries` : shown(node);
      this.#report(node, key, `must be a list of 1..${max} entries, found ${found}`);
      return [];
    }
    const results: T[] = [];
    for (const [index, item] of node.items.entries()) {
      const name = `${key}[${index}]`;
      if (isMap(item)) results.push(read(this.#child(item, this.#name(name))));
      else this.#report(item, name, `must be a mapping of keys to values, found ${shown(item)}`);
    }
    return results;
  }

  /** Notes a problem that only the caller can see. */
  problem(key: string, problem: string): void {
    this.#report(this.#find(key) ?? this.#map, key, problem);
  }

  /** Reports the keys that nobody asked for. */
  close(): void {
    for (const inner of this.#inner) inner.close();
    for (const { key } of this.#map.items) {
      const name = isScalar(key) ? String(key.value) : String(key);
      if (this.#known.has(name)) continue;
      const near = suggest(name, [...this.#known]);
      const hint =
        near === undefined
          ? `known here: ${[...this.#known].sort().join(', ')}`
          : `did you mean ${near}?`;
      this.#report(key, name, `unknown key; ${hint}`);
    }
  }

  #child(node: YAMLMap, path: string): Section {
    const inner = new Section(node as YAMLMap<Node, Node | null>, path, this.#context);
    this.#inner.push(inner);
    return inner;
  }

  #find(key: string): Node | undefined {
    const pair = this.#map.items.find((item) => isScalar(item.key) && item.key.value === key);
    const value = pair?.value;
    if (pair === undefined || value === undefined) return undefined;
    // `key:` with nothing after it stands for its absence, as the eye reads it.
    return value === null || (isScalar(value) && value.value === null) ? undefined : value;
  }

  #scalar(key: string, fallback: string | number | undefined, expected: string): unknown {
    this.#known.add(key);
    const node = this.#find(key);
    if (node !== undefined) return isScalar(node) ? node.value : { node };
    if (fallback === undefined) this.#missing(key, expected);
    return undefined;
  }

  #wrong<T>(key: string, expected: string, value: unknown, standIn: T): T {
    const node = this.#find(key) ?? this.#map;
    const found = isScalar(node) ? quoted(value) : shown(node);
    this.#report(node, key, `must be ${expected}, found ${found}`);
    return standIn;
  }

  #missing(key: string, expected: string): void {
    this.#report(this.#map, key, `is missing; must be ${expected}`);
  }

  #report(node: Node, key: string, problem: string): void {
    this.#context.report(this.#context.lineOf(node), this.#name(key), problem);
  }

  #name(key: string): string {
    return this.#path === '' ? key : `${this.#path}.${key}`;
  }
}

function shown(node: Node): string {
  if (isMap(node)) return 'a mapping';
  if (isSeq(node)) return 'a list';
  return isScalar(node) ? quoted(node.value) : 'an alias, which is not supported';
}

function quoted(value: unknown): string {
  const text = String(value).slice(0, 80);
  return typeof value === 'string' ? `'${text}'` : text;
}
