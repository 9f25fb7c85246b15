/**
 * Policies in Fabric's protobuf form (common/policies.proto,
 * msp/msp_principal.proto). Browser-safe.
 */

import type {
  Policy as ProtoPolicy,
  SignaturePolicy as ProtoRule,
} from '@hyperledger/fabric-protos/lib/common/policies_pb.js';
import policies from '@hyperledger/fabric-protos/lib/common/policies_pb.js';
import type { MSPPrincipal } from '@hyperledger/fabric-protos/lib/msp/msp_principal_pb.js';
import principals from '@hyperledger/fabric-protos/lib/msp/msp_principal_pb.js';
import { sha256 } from '@noble/hashes/sha2.js';
import {
  type Decoded,
  decodeSerializedIdentity,
  encodeSerializedIdentity,
  fromHex,
  toHex,
} from '../../ledger/format/index.ts';
import { parseGuarded } from '../channel-config/proto.ts';
import { WIRE_SHAPES } from '../channel-config/wire-guard.ts';
import { decodePem } from '../msp/pem.ts';
import { POLICY_LIMITS } from './limits.ts';
import type { MspRole, Policy, Principal, SignatureRule } from './types.ts';

/** Indexed by the numbers of the protobuf enumerations. */
const ROLES: readonly MspRole[] = ['member', 'admin', 'client', 'peer', 'orderer'];
const META_RULES = ['ANY', 'ALL', 'MAJORITY'] as const;

/**
 * Certificate digest of an identity principal: SHA-256 of the DER, hex;
 * empty when it is no certificate.
 */
export function principalDigest(identityPem: string): string {
  const der = decodePem(identityPem, 'CERTIFICATE');
  return der.kind === 'ok' ? toHex(sha256(der.value)) : '';
}

export function encodePolicy(policy: Policy): ProtoPolicy {
  const message = new policies.Policy();
  if (policy.kind === 'implicit-meta') {
    const meta = new policies.ImplicitMetaPolicy();
    meta.setSubPolicy(policy.subPolicy);
    meta.setRule(META_RULES.indexOf(policy.rule) as 0 | 1 | 2);
    message.setType(policies.Policy.PolicyType.IMPLICIT_META);
    message.setValue(meta.serializeBinary());
    return message;
  }
  const envelope = new policies.SignaturePolicyEnvelope();
  envelope.setRule(encodeRule(policy.rule));
  envelope.setIdentitiesList(policy.principals.map(encodePrincipal));
  message.setType(policies.Policy.PolicyType.SIGNATURE);
  message.setValue(envelope.serializeBinary());
  return message;
}

function encodeRule(rule: SignatureRule): ProtoRule {
  const message = new policies.SignaturePolicy();
  if (rule.kind === 'signed-by') {
    message.setSignedBy(rule.principal);
    return message;
  }
  const inner = new policies.SignaturePolicy.NOutOf();
  inner.setN(rule.n);
  inner.setRulesList(rule.rules.map(encodeRule));
  message.setNOutOf(inner);
  return message;
}

function encodePrincipal(principal: Principal): MSPPrincipal {
  const message = new principals.MSPPrincipal();
  const classes = principals.MSPPrincipal.Classification;
  switch (principal.kind) {
    case 'role': {
      const role = new principals.MSPRole();
      role.setMspIdentifier(principal.mspId);
      role.setRole(ROLES.indexOf(principal.role) as 0 | 1 | 2 | 3 | 4);
      message.setPrincipalClassification(classes.ROLE);
      message.setPrincipal(role.serializeBinary());
      return message;
    }
    case 'organization-unit': {
      const unit = new principals.OrganizationUnit();
      unit.setMspIdentifier(principal.mspId);
      unit.setOrganizationalUnitIdentifier(principal.unit);
      unit.setCertifiersIdentifier(fromHex(principal.certifiersDigest));
      message.setPrincipalClassification(classes.ORGANIZATION_UNIT);
      message.setPrincipal(unit.serializeBinary());
      return message;
    }
    case 'identity': {
      const idBytes = new TextEncoder().encode(principal.identityPem);
      message.setPrincipalClassification(classes.IDENTITY);
      message.setPrincipal(encodeSerializedIdentity({ mspId: principal.mspId, idBytes }));
      return message;
    }
    case 'combined': {
      const combined = new principals.CombinedPrincipal();
      combined.setPrincipalsList(principal.principals.map(encodePrincipal));
      message.setPrincipalClassification(classes.COMBINED);
      message.setPrincipal(combined.serializeBinary());
      return message;
    }
    default:
      return principal satisfies never;
  }
}

/** Total: whatever the protobuf library throws comes back as `malformed`. */
export function decodePolicy(message: ProtoPolicy): Decoded<Policy> {
  try {
    return { kind: 'ok', value: policyOf(message) };
  } catch (error) {
    return { kind: 'malformed', reason: error instanceof Error ? error.message : String(error) };
  }
}

function policyOf(message: ProtoPolicy): Policy {
  const types = policies.Policy.PolicyType;
  if (message.getType() === types.IMPLICIT_META) {
    const meta = parseGuarded(policies.ImplicitMetaPolicy, message.getValue_asU8());
    const rule = META_RULES[meta.getRule()];
    if (rule === undefined) throw new Error(`unknown implicit meta rule ${meta.getRule()}`);
    if (meta.getSubPolicy() === '') throw new Error('an implicit meta policy without a sub-policy');
    return { kind: 'implicit-meta', rule, subPolicy: meta.getSubPolicy() };
  }
  if (message.getType() !== types.SIGNATURE) {
    throw new Error(`policy type ${message.getType()} is not supported`);
  }
  const envelope = parseGuarded(
    policies.SignaturePolicyEnvelope,
    message.getValue_asU8(),
    WIRE_SHAPES.signaturePolicyEnvelope,
  );
  if (envelope.getVersion() !== 0) {
    throw new Error(`signature policy version ${envelope.getVersion()}; only 0 is known`);
  }
  const budget = { nodes: POLICY_LIMITS.policyNodesMax };
  const list = envelope.getIdentitiesList().map((item) => principalOf(item, 0, budget));
  const rule = envelope.getRule();
  if (rule === undefined) throw new Error('a signature policy without a rule');
  return {
    kind: 'signature',
    rule: ruleOf(rule, list.length, 0, budget),
    principals: list,
  };
}

interface Budget {
  nodes: number;
}

/**
 * Counts a node and its depth: a policy is evaluated for every new writer, so its size is bounded.
 */
function spend(budget: Budget, depth: number): void {
  budget.nodes -= 1;
  if (budget.nodes < 0) throw new Error(`more than ${POLICY_LIMITS.policyNodesMax} parts`);
  if (depth > POLICY_LIMITS.ruleDepthMax) {
    throw new Error(`nested deeper than ${POLICY_LIMITS.ruleDepthMax}`);
  }
}

function ruleOf(
  message: ProtoRule,
  principalCount: number,
  depth: number,
  budget: Budget,
): SignatureRule {
  spend(budget, depth);
  const cases = policies.SignaturePolicy.TypeCase;
  if (message.getTypeCase() === cases.SIGNED_BY) {
    const principal = message.getSignedBy();
    if (principal < 0 || principal >= principalCount) {
      throw new Error(`signed_by ${principal}, but there are ${principalCount} identities`);
    }
    return { kind: 'signed-by', principal };
  }
  const inner = message.getNOutOf();
  if (message.getTypeCase() !== cases.N_OUT_OF || inner === undefined) {
    throw new Error('a rule that is neither signed_by nor n_out_of');
  }
  if (inner.getN() < 0) throw new Error(`n_out_of with a negative n (${inner.getN()})`);
  const rules = inner.getRulesList().map((item) => ruleOf(item, principalCount, depth + 1, budget));
  return { kind: 'n-out-of', n: inner.getN(), rules };
}

function principalOf(message: MSPPrincipal, depth: number, budget: Budget): Principal {
  spend(budget, depth);
  const classes = principals.MSPPrincipal.Classification;
  const bytes = message.getPrincipal_asU8();
  switch (message.getPrincipalClassification()) {
    case classes.ROLE: {
      const role = parseGuarded(principals.MSPRole, bytes);
      const name = ROLES[role.getRole()];
      if (name === undefined) throw new Error(`unknown role ${role.getRole()}`);
      return { kind: 'role', mspId: role.getMspIdentifier(), role: name };
    }
    case classes.ORGANIZATION_UNIT: {
      const unit = parseGuarded(principals.OrganizationUnit, bytes);
      return {
        kind: 'organization-unit',
        mspId: unit.getMspIdentifier(),
        unit: unit.getOrganizationalUnitIdentifier(),
        certifiersDigest: toHex(unit.getCertifiersIdentifier_asU8()),
      };
    }
    case classes.IDENTITY: {
      const identity = decodeSerializedIdentity(bytes);
      if (identity.kind !== 'ok') throw new Error(`identity principal: ${identity.reason}`);
      const identityPem = new TextDecoder().decode(identity.value.idBytes);
      const certificateDigest = principalDigest(identityPem);
      return { kind: 'identity', mspId: identity.value.mspId, identityPem, certificateDigest };
    }
    case classes.COMBINED: {
      const combined = parseGuarded(
        principals.CombinedPrincipal,
        bytes,
        WIRE_SHAPES.combinedPrincipal,
      );
      const list = combined.getPrincipalsList();
      if (list.length === 0) throw new Error('a combined principal of nothing');
      return {
        kind: 'combined',
        principals: list.map((item) => principalOf(item, depth + 1, budget)),
      };
    }
    default:
      throw new Error(
        `principal classification ${message.getPrincipalClassification()} is not supported`,
      );
  }
}
