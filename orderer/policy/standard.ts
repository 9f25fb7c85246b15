/** The policies that Fabric's sample network starts with, for a channel of its own. */

import { quorumOf } from '../../ledger/format/index.ts';
import { principalDigest } from './codec.ts';
import type { MspRole, Policy, PolicyTree } from './types.ts';

/** One of these roles of one organization. */
export function anyRole(mspId: string, ...roles: MspRole[]): Policy {
  return {
    kind: 'signature',
    rule: {
      kind: 'n-out-of',
      n: 1,
      rules: roles.map((_, principal) => ({ kind: 'signed-by', principal })),
    },
    principals: roles.map((role) => ({ kind: 'role', mspId, role })),
  };
}

export function implicitMeta(rule: 'ANY' | 'ALL' | 'MAJORITY', subPolicy: string): Policy {
  return { kind: 'implicit-meta', rule, subPolicy };
}

/**
 * q of the consenters, each by its certificate: what a peer of Fabric checks a BFT block against.
 * Source: fabric common/policies/util.go `EncodeBFTBlockVerificationPolicy`.
 */
export function blockValidationPolicy(
  consenters: readonly { mspId: string; identityPem: string }[],
): Policy {
  return {
    kind: 'signature',
    rule: {
      kind: 'n-out-of',
      n: quorumOf(consenters.length),
      rules: consenters.map((_, principal) => ({ kind: 'signed-by', principal })),
    },
    principals: consenters.map(({ mspId, identityPem }) => ({
      kind: 'identity',
      mspId,
      identityPem,
      certificateDigest: principalDigest(identityPem),
    })),
  };
}

/**
 * Members read and write, a majority of the organizations' admins
 * governs, q consenters validate blocks.
 */
export function standardPolicies(
  organizations: readonly { group: string; mspId: string; kind: 'orderer' | 'application' }[],
  consenters: readonly { mspId: string; identityPem: string }[],
): PolicyTree {
  const groupsOf = (kind: 'orderer' | 'application'): Map<string, PolicyTree> =>
    new Map(
      organizations
        .filter((organization) => organization.kind === kind)
        .map(({ group, mspId }) => [group, organizationPolicies(mspId, kind)]),
    );
  const common: [string, Policy][] = [
    ['Readers', implicitMeta('ANY', 'Readers')],
    ['Writers', implicitMeta('ANY', 'Writers')],
    ['Admins', implicitMeta('MAJORITY', 'Admins')],
  ];
  const orderer: PolicyTree = {
    policies: new Map([...common, ['BlockValidation', blockValidationPolicy(consenters)]]),
    groups: groupsOf('orderer'),
  };
  const application: PolicyTree = {
    policies: new Map([
      ...common,
      ['Endorsement', implicitMeta('MAJORITY', 'Endorsement')],
      ['LifecycleEndorsement', implicitMeta('MAJORITY', 'Endorsement')],
    ]),
    groups: groupsOf('application'),
  };
  return {
    policies: new Map(common),
    groups: new Map([
      ['Application', application],
      ['Orderer', orderer],
    ]),
  };
}

function organizationPolicies(mspId: string, kind: 'orderer' | 'application'): PolicyTree {
  const policies = new Map<string, Policy>([
    ['Readers', anyRole(mspId, 'member')],
    ['Writers', anyRole(mspId, 'member')],
    ['Admins', anyRole(mspId, 'admin')],
  ]);
  if (kind === 'application') policies.set('Endorsement', anyRole(mspId, 'peer'));
  return { policies, groups: new Map() };
}
