/**
 * A scenario in a process of its own: whatever becomes of it (an exception that nobody waits for, no memory, a crash of the
 * addon), the run has the results of the others and goes on, and what it has started ends with it.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Section } from './result.ts';
import type { BenchOptions, Scenario } from './scenario.ts';

/** What can be told to another process. */
export type ScenarioOptions = Omit<BenchOptions, 'say'>;

interface Order {
  readonly name: string;
  readonly options: ScenarioOptions;
}

type Outcome =
  | { readonly kind: 'measured'; readonly section: Section }
  | { readonly kind: 'failed'; readonly reason: string; readonly stack: string };

/** Several times what the longest takes on a slow machine: one that stands still must not keep the others waiting for ever. */
const LIMIT_MS = 45 * 60_000;

/** Has `program` measure; it calls `serveScenarios`. Rejects with the reason when there is no section. */
export async function measureInProcess(
  program: URL,
  name: string,
  options: ScenarioOptions,
  limitMs = LIMIT_MS,
): Promise<Section> {
  const child = fork(fileURLToPath(program), [], {
    serialization: 'advanced',
    execArgv: process.execArgv,
  });
  let outcome: Outcome | undefined;
  child.on('message', (message: Outcome) => {
    outcome ??= message;
  });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    // Not `exit`: what it has sent may still be on its way then.
    child.once('close', (code, signal) => {
      resolve(
        signal === null ? `its process ended with code ${code}` : `its process got ${signal}`,
      );
    });
  });
  const limit = setTimeout(() => {
    const reason = `it was not over after ${limitMs / 60_000} minutes`;
    outcome ??= { kind: 'failed', reason, stack: reason };
    child.kill('SIGKILL');
  }, limitMs);
  child.send({ name, options } satisfies Order, () => {});
  const how = await ended;
  clearTimeout(limit);
  if (outcome?.kind === 'measured') return outcome.section;
  const error = new Error(outcome?.reason ?? how);
  // Where it failed, not where that was noticed.
  if (outcome !== undefined) error.stack = outcome.stack;
  throw error;
}

/** The other side: runs the scenario that it is told to, says what came of it, and ends. */
export function serveScenarios(scenarios: readonly Scenario[]): void {
  const end = (outcome: Outcome): void => {
    process.send?.(outcome, () => process.exit(outcome.kind === 'measured' ? 0 : 1));
  };
  const fail = (error: Error): void => {
    end({ kind: 'failed', reason: error.message, stack: error.stack ?? error.message });
  };
  // The run has been broken off: nobody wants to know any more.
  process.once('disconnect', () => process.exit(1));
  process.on('uncaughtException', fail);
  process.once('message', ({ name, options }: Order) => {
    const scenario = scenarios.find((one) => one.name === name);
    if (scenario === undefined) return fail(new Error(`there is no scenario ${name}`));
    const say = (line: string): void => console.log(`    ${line}`);
    scenario
      .run({ ...options, say })
      .then((section) => end({ kind: 'measured', section }))
      .catch(fail);
  });
}
