/** What `main.ts` starts for each scenario. */
import { serveScenarios } from './scenario-process.ts';
import { SCENARIOS } from './scenarios/index.ts';

serveScenarios(SCENARIOS);
