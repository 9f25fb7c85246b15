/**
 * Evaluation with Fabric's semantics. Sources: fabric common/cauthdsl/cauthdsl.go (`compile`:
 * greedy, each identity used at most once), common/policies/implicitmeta.go (thresholds),
 * common/policies/policy.go (`SignatureSetToValidIdentities`: de-duplication; `GetPolicy`:
 * paths). Pure; every walk is bounded.
 */

import { POLICY_LIMITS } from './limits.ts';
import type { Policy, PolicyIdentity, PolicyTree, Principal, SignatureRule } from './types.ts';

const ROOT = '/Channel/';

/**
 * Whether the identities, whose signatures were checked before, satisfy the policy at
 * `path`. Absolute ('/Channel/Writers', '/Channel/Application/Org1/Admins') or relative
 * to the root ('Writers', 'Application/Writers'). A policy that does not exist denies,
 * as Fabric's reject policy does.
 */
export function evaluate(
  tree: PolicyTree,
  path: string,
  identities: readonly PolicyIdentity[],
): boolean {
  const found = findPolicy(tree, path);
  if (found === undefined) return false;
  return holds(found.policy, found.tree, distinct(identities), 0);
}

/** The policy at `path` and the group it belongs to; undefined when there is none. */
export function findPolicy(
  tree: PolicyTree,
  path: string,
): { policy: Policy; tree: PolicyTree } | undefined {
  if (path.startsWith('/') && !path.startsWith(ROOT)) return undefined;
  const names = (path.startsWith(ROOT) ? path.slice(ROOT.length) : path).split('/');
  const last = names.pop() ?? '';
  let group: PolicyTree | undefined = tree;
  for (const name of names) group = group?.groups.get(name);
  const policy = group?.policies.get(last);
  return group === undefined || policy === undefined ? undefined : { policy, tree: group };
}

/** One entry per certificate, first occurrence kept: signing twice counts once. */
function distinct(identities: readonly PolicyIdentity[]): PolicyIdentity[] {
  const byCertificate = new Map<string, PolicyIdentity>();
  for (const identity of identities.slice(0, POLICY_LIMITS.identitiesMax)) {
    const key = `${identity.certificateDigest}/${identity.mspId}`;
    if (!byCertificate.has(key)) byCertificate.set(key, identity);
  }
  return [...byCertificate.values()];
}

function holds(
  policy: Policy,
  tree: PolicyTree,
  identities: readonly PolicyIdentity[],
  depth: number,
): boolean {
  if (depth > POLICY_LIMITS.groupDepthMax) return false;
  if (policy.kind === 'signature') {
    const used = new Array<boolean>(identities.length).fill(false);
    return ruleHolds(policy.rule, policy.principals, identities, used, 0);
  }
  let remaining = threshold(policy.rule, tree.groups.size);
  for (const group of tree.groups.values()) {
    if (remaining === 0) break;
    // A sub-policy is a name below the sub-group; an absolute path means nothing there.
    const found = policy.subPolicy.startsWith('/')
      ? undefined
      : findPolicy(group, policy.subPolicy);
    if (found !== undefined && holds(found.policy, found.tree, identities, depth + 1)) {
      remaining -= 1;
    }
  }
  return remaining === 0;
}

/** Sub-groups that must agree; with none at all, nothing is asked for. */
function threshold(rule: 'ANY' | 'ALL' | 'MAJORITY', groups: number): number {
  if (groups === 0) return 0;
  switch (rule) {
    case 'ANY':
      return 1;
    case 'ALL':
      return groups;
    case 'MAJORITY':
      return Math.floor(groups / 2) + 1;
    default:
      return rule satisfies never;
  }
}

/** Marks in `used` what it consumed when it holds, and only then. */
function ruleHolds(
  rule: SignatureRule,
  principals: readonly Principal[],
  identities: readonly PolicyIdentity[],
  used: boolean[],
  depth: number,
): boolean {
  if (depth > POLICY_LIMITS.ruleDepthMax) return false;
  if (rule.kind === 'signed-by') {
    const principal = principals[rule.principal];
    if (principal === undefined) return false;
    const index = identities.findIndex(
      (identity, at) => used[at] === false && satisfies(identity, principal, 0),
    );
    if (index < 0) return false;
    used[index] = true;
    return true;
  }
  let verified = 0;
  for (const inner of rule.rules) {
    const attempt = [...used];
    if (!ruleHolds(inner, principals, identities, attempt, depth + 1)) continue;
    verified += 1;
    for (const [at, value] of attempt.entries()) used[at] = value;
  }
  return verified >= rule.n;
}

function satisfies(identity: PolicyIdentity, principal: Principal, depth: number): boolean {
  switch (principal.kind) {
    case 'role':
      return identity.mspId === principal.mspId && identity.roles.has(principal.role);
    case 'identity':
      return (
        identity.mspId === principal.mspId &&
        principal.certificateDigest !== '' &&
        identity.certificateDigest === principal.certificateDigest
      );
    case 'organization-unit':
      return (
        identity.mspId === principal.mspId &&
        identity.units.includes(principal.unit) &&
        identity.certifiersDigest === principal.certifiersDigest
      );
    case 'combined':
      return (
        depth < POLICY_LIMITS.ruleDepthMax &&
        principal.principals.every((inner) => satisfies(identity, inner, depth + 1))
      );
    default:
      return principal satisfies never;
  }
}
