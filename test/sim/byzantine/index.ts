/** Everything that liars do, by name. */
import {
  badFrontiers,
  censor,
  eagerCommits,
  splitVotes,
  timeGames,
  twoFaces,
} from './agreement.ts';
import { lyingAnswers, lyingCheckpoints, lyingProgress } from './answers.ts';
import { lateAttestations, lyingAttestations } from './attestations.ts';
import { betrayal } from './betrayal.ts';
import { forgedNewViews, liftedCertificates, otherContents, secondThoughts } from './inventions.ts';
import { flood, forkedLane, withheldBatches, worthlessBatches } from './lanes.ts';
import { damage, favourites, oldCells, spoofedCells, worstSilence } from './noise.ts';
import type { StrategyFactory } from './strategy.ts';
import {
  absurdWishes,
  lyingChanges,
  reportsOtherFace,
  splitNewViews,
  staleViews,
} from './views.ts';

export const STRATEGIES = {
  'two-faces': twoFaces,
  'split-votes': splitVotes,
  'eager-commits': eagerCommits,
  'time-games': timeGames,
  censor,
  'bad-frontiers': badFrontiers,
  'lying-changes': lyingChanges,
  'reports-other-face': reportsOtherFace,
  'split-new-views': splitNewViews,
  'absurd-wishes': absurdWishes,
  'stale-views': staleViews,
  'forked-lane': forkedLane,
  'withheld-batches': withheldBatches,
  'worthless-batches': worthlessBatches,
  flood,
  'lying-progress': lyingProgress,
  'lying-answers': lyingAnswers,
  'lying-checkpoints': lyingCheckpoints,
  'worst-silence': worstSilence,
  favourites,
  'old-cells': oldCells,
  damage,
  betrayal,
  'other-contents': otherContents,
  'second-thoughts': secondThoughts,
  'forged-new-views': forgedNewViews,
  'lifted-certificates': liftedCertificates,
  'spoofed-cells': spoofedCells,
  'lying-attestations': lyingAttestations,
  'late-attestations': lateAttestations,
} satisfies Record<string, StrategyFactory>;

export type StrategyName = keyof typeof STRATEGIES;

/** Two cores under one identity. Not a strategy of words: each of the two is honest. */
export const TWINS = 'twins';
/** Its orderer spreads what no client has signed, and finds everything valid: its cores are honest, and believe it. */
export const UNSIGNED_WORK = 'unsigned-work';
export type LieName = StrategyName | typeof TWINS | typeof UNSIGNED_WORK;

export const LIE_NAMES: readonly LieName[] = [
  TWINS,
  UNSIGNED_WORK,
  ...(Object.keys(STRATEGIES) as StrategyName[]),
];
