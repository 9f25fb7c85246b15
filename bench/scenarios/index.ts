/** All that is measured, in the order in which it is. */
import type { Scenario } from '../scenario.ts';
import { channels } from './channels.ts';
import { commitLatency } from './commit-latency.ts';
import { consensusSignatures } from './consensus-signatures.ts';
import { consensusThroughput } from './consensus-throughput.ts';
import { http } from './http.ts';
import { leaderKilled } from './leader-killed.ts';
import { reading } from './reading.ts';
import { replicas } from './replicas.ts';
import { scaleModel } from './scale-model.ts';

export const SCENARIOS: readonly Scenario[] = [
  commitLatency,
  consensusThroughput,
  consensusSignatures,
  replicas,
  scaleModel,
  http,
  channels,
  leaderKilled,
  reading,
];
