/** Errors of the settings files. */

/** `file:line: key: what must be there, what was found`. */
export interface SettingsProblem {
  readonly file: string;
  readonly line: number;
  /** Dotted path of the key ('api.port'); empty for the file as a whole. */
  readonly key: string;
  readonly problem: string;
}

/** All problems of one file, in the order of its lines. */
export class SettingsError extends Error {
  /** A settings file says something that cannot be: one line a problem. */
  readonly code = 'bad_settings';
  readonly problems: readonly SettingsProblem[];

  constructor(problems: readonly SettingsProblem[]) {
    super(problems.map(problemText).join('\n'));
    this.name = 'SettingsError';
    this.problems = problems;
  }
}

function problemText({ file, line, key, problem }: SettingsProblem): string {
  return key === '' ? `${file}:${line}: ${problem}` : `${file}:${line}: ${key}: ${problem}`;
}
