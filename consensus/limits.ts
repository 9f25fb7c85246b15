/**
 * Limits of consensus. The core's own, with the relations between them, are in `core/limits.ts`.
 */
export { checkLimits, DEFAULT_LIMITS } from './core/limits.ts';
