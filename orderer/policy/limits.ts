/** Bounds of policies. */

export const POLICY_LIMITS = {
  /** Nesting of rules in a signature policy, and of combined principals. */
  ruleDepthMax: 16,
  /** Rules plus principals of one signature policy. */
  policyNodesMax: 1024,
  /** Nesting of groups that implicit meta policies descend through. */
  groupDepthMax: 8,
  /** Identities that one evaluation looks at. */
  identitiesMax: 256,
} as const;
