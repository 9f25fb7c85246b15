/**
 * The code under test as a value. Everything in this folder runs the core and the wire formats that it is
 * given, so that a mutant (a changed copy, see `mutants`) runs in the same world.
 */
import type { coreOf } from '../../consensus/core/core.ts';
import type { checkLimits, DEFAULT_LIMITS } from '../../consensus/core/limits.ts';
import type { createState } from '../../consensus/core/state.ts';

type Wire = typeof import('../../consensus/wire/index.ts');

/**
 * In a mutant of the world: what the MACs of cells fail to cover, or a process that says things before the records that
 * they depend on are on disk.
 */
export type Weakness = 'mac-view' | 'mac-writer' | 'sends-before-sync';

export interface Protocol {
  readonly createState: typeof createState;
  readonly coreOf: typeof coreOf;
  readonly defaultLimits: typeof DEFAULT_LIMITS;
  readonly checkLimits: typeof checkLimits;
  readonly wire: Wire;
  readonly weakness: Weakness | undefined;
}

/** The compiled `consensus` folder beside this one. */
export const REAL_CONSENSUS = new URL('../../consensus/', import.meta.url);

export async function loadProtocol(folder: URL = REAL_CONSENSUS): Promise<Protocol> {
  const [core, state, limits, wire] = await Promise.all([
    import(new URL('core/core.js', folder).href),
    import(new URL('core/state.js', folder).href),
    import(new URL('core/limits.js', folder).href),
    import(new URL('wire/index.js', folder).href),
  ]);
  return {
    createState: state.createState,
    coreOf: core.coreOf,
    defaultLimits: limits.DEFAULT_LIMITS,
    checkLimits: limits.checkLimits,
    wire,
    weakness: undefined,
  };
}
