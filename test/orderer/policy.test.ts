import policies from '@hyperledger/fabric-protos/lib/common/policies_pb.js';
import principals from '@hyperledger/fabric-protos/lib/msp/msp_principal_pb.js';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  anyRole,
  decodePolicy,
  encodePolicy,
  evaluate,
  findPolicy,
  implicitMeta,
  type MspRole,
  type Policy,
  type PolicyIdentity,
  type PolicyTree,
  type SignatureRule,
  standardPolicies,
} from '../../orderer/policy/index.ts';

function identity(mspId: string, name: string, ...roles: MspRole[]): PolicyIdentity {
  return {
    mspId,
    roles: new Set<MspRole>(['member', ...roles]),
    certificateDigest: name,
    units: [],
    certifiersDigest: '',
  };
}

function tree(own: Record<string, Policy>, groups: Record<string, PolicyTree> = {}): PolicyTree {
  return { policies: new Map(Object.entries(own)), groups: new Map(Object.entries(groups)) };
}

function nOutOf(n: number, ...rules: SignatureRule[]): SignatureRule {
  return { kind: 'n-out-of', n, rules };
}

const signedBy = (principal: number): SignatureRule => ({ kind: 'signed-by', principal });
const member = (mspId: string) => ({ kind: 'role', mspId, role: 'member' }) as const;

const alice = identity('A', 'alice', 'client');
const albert = identity('A', 'albert', 'admin');
const bob = identity('B', 'bob', 'client');

describe('orderer/policy: signature policies', () => {
  const holds = (
    rule: SignatureRule,
    list: Policy & { kind: 'signature' },
    ids: PolicyIdentity[],
  ) => evaluate(tree({ P: { ...list, rule } }), 'P', ids);
  const twoOfA: Policy & { kind: 'signature' } = {
    kind: 'signature',
    rule: signedBy(0),
    principals: [member('A'), member('A'), { kind: 'role', mspId: 'A', role: 'admin' }],
  };

  it('use each identity once: two signatures of one organization need two members', () => {
    const rule = nOutOf(2, signedBy(0), signedBy(1));
    expect(holds(rule, twoOfA, [alice, albert])).to.equal(true);
    expect(holds(rule, twoOfA, [alice])).to.equal(false);
    expect(holds(rule, twoOfA, [alice, alice, bob])).to.equal(false);
  });

  it('are greedy in the order of rules and identities, as Fabric is', () => {
    // The member rule takes the admin first, which leaves nobody for the admin rule.
    const rule = nOutOf(2, signedBy(0), signedBy(2));
    expect(holds(rule, twoOfA, [albert, alice])).to.equal(false);
    expect(holds(rule, twoOfA, [alice, albert])).to.equal(true);
  });

  it('give back what a failed branch has used', () => {
    const failing = nOutOf(2, signedBy(0), signedBy(2));
    const rule = nOutOf(1, failing, signedBy(0));
    expect(holds(rule, twoOfA, [alice])).to.equal(true);
  });

  it('know identities, organizational units and combinations', () => {
    const withUnit = { ...bob, units: ['trade'], certifiersDigest: 'ca01' };
    const unit = {
      kind: 'organization-unit',
      mspId: 'B',
      unit: 'trade',
      certifiersDigest: 'ca01',
    } as const;
    const exact = {
      kind: 'identity',
      mspId: 'B',
      identityPem: '',
      certificateDigest: 'bob',
    } as const;
    const policy: Policy & { kind: 'signature' } = {
      kind: 'signature',
      rule: signedBy(0),
      principals: [unit, exact, { kind: 'combined', principals: [unit, exact] }],
    };
    expect(holds(signedBy(0), policy, [withUnit])).to.equal(true);
    expect(holds(signedBy(0), policy, [bob])).to.equal(false);
    expect(holds(signedBy(0), policy, [{ ...withUnit, certifiersDigest: 'ca02' }])).to.equal(false);
    expect(holds(signedBy(1), policy, [bob])).to.equal(true);
    expect(holds(signedBy(1), policy, [{ ...bob, mspId: 'A' }])).to.equal(false);
    expect(holds(signedBy(2), policy, [bob])).to.equal(false);
    expect(holds(signedBy(2), policy, [withUnit])).to.equal(true);
  });

  it('hold for nobody when a principal is no certificate, or its index is wrong', () => {
    const empty = { kind: 'identity', mspId: 'A', identityPem: '', certificateDigest: '' } as const;
    const policy: Policy & { kind: 'signature' } = {
      kind: 'signature',
      rule: signedBy(0),
      principals: [empty],
    };
    expect(holds(signedBy(0), policy, [{ ...alice, certificateDigest: '' }])).to.equal(false);
    expect(holds(signedBy(7), policy, [alice])).to.equal(false);
  });
});

describe('orderer/policy: implicit meta policies and paths', () => {
  const org = (mspId: string) => tree({ W: anyRole(mspId, 'member') });
  const three = { A: org('A'), B: org('B'), C: org('C') };

  it('count the sub-groups that agree', () => {
    const check = (rule: 'ANY' | 'ALL' | 'MAJORITY', ids: PolicyIdentity[]) =>
      evaluate(tree({ W: implicitMeta(rule, 'W') }, three), '/Channel/W', ids);
    const carol = identity('C', 'carol');
    expect(check('ANY', [])).to.equal(false);
    expect(check('ANY', [bob])).to.equal(true);
    expect(check('MAJORITY', [bob])).to.equal(false);
    expect(check('MAJORITY', [bob, carol])).to.equal(true);
    expect(check('ALL', [bob, carol])).to.equal(false);
    expect(check('ALL', [alice, bob, carol])).to.equal(true);
  });

  it('ask for nothing where there are no sub-groups, and deny where a policy is missing', () => {
    expect(evaluate(tree({ W: implicitMeta('MAJORITY', 'W') }), 'W', [])).to.equal(true);
    const without = tree({ W: implicitMeta('ANY', 'W') }, { A: tree({}) });
    expect(evaluate(without, 'W', [alice])).to.equal(false);
    expect(evaluate(without, 'Nothing', [alice])).to.equal(false);
  });

  it('find policies by absolute and relative path', () => {
    const root = tree({ W: implicitMeta('ANY', 'W') }, { Application: tree({}, three) });
    expect(findPolicy(root, '/Channel/Application/B/W')?.policy.kind).to.equal('signature');
    expect(findPolicy(root, 'Application/B/W')?.policy.kind).to.equal('signature');
    for (const path of ['', '/', '/Other/W', '/Channel/', '/Channel/X/W', 'Application/W']) {
      expect(findPolicy(root, path), path).to.equal(undefined);
    }
  });

  it('stop at a bounded depth', () => {
    let deep = tree({ W: anyRole('A', 'member') });
    for (let level = 0; level < 50; level++) {
      deep = tree({ W: implicitMeta('ANY', 'W') }, { inner: deep });
    }
    expect(evaluate(deep, 'W', [alice])).to.equal(false);
  });

  it('the standard set lets members write, and asks q consenters to validate a block', () => {
    const organizations = [
      { group: 'OrdererOrg', mspId: 'O', kind: 'orderer' },
      { group: 'Org1', mspId: 'A', kind: 'application' },
    ] as const;
    const standard = standardPolicies(organizations, [
      { mspId: 'O', identityPem: '' },
      { mspId: 'O', identityPem: '' },
      { mspId: 'O', identityPem: '' },
      { mspId: 'O', identityPem: '' },
    ]);
    expect(evaluate(standard, '/Channel/Writers', [alice])).to.equal(true);
    expect(evaluate(standard, '/Channel/Writers', [bob])).to.equal(false);
    expect(evaluate(standard, '/Channel/Admins', [albert])).to.equal(false);
    const orderers = [albert, identity('O', 'boss', 'admin')];
    expect(evaluate(standard, '/Channel/Admins', orderers)).to.equal(true);
    const validation = findPolicy(standard, '/Channel/Orderer/BlockValidation')?.policy;
    expect(validation).to.have.nested.property('rule.n', 3);
  });
});

describe('orderer/policy: codec', () => {
  const role = fc.constantFrom<MspRole[]>('member', 'admin', 'client', 'peer', 'orderer');
  const principal = fc.record({ kind: fc.constant('role' as const), mspId: fc.string(), role });
  const { rule } = fc.letrec<{ rule: SignatureRule }>((tie) => ({
    rule: fc.oneof(
      { maxDepth: 4 },
      fc.record({ kind: fc.constant('signed-by' as const), principal: fc.constant(0) }),
      fc.record({
        kind: fc.constant('n-out-of' as const),
        n: fc.nat(4),
        rules: fc.array(tie('rule'), { maxLength: 3 }),
      }),
    ),
  }));

  it('reads back what it wrote', () => {
    const policy = fc.oneof(
      fc.record({
        kind: fc.constant('signature' as const),
        rule,
        principals: fc.array(principal, { minLength: 1, maxLength: 4 }),
      }),
      fc.record({
        kind: fc.constant('implicit-meta' as const),
        rule: fc.constantFrom('ANY' as const, 'ALL' as const, 'MAJORITY' as const),
        subPolicy: fc.string({ minLength: 1 }),
      }),
    );
    fc.assert(
      fc.property(policy, (value) => {
        const bytes = encodePolicy(value).serializeBinary();
        const read = decodePolicy(policies.Policy.deserializeBinary(bytes));
        expect(read).to.deep.equal({ kind: 'ok', value });
      }),
    );
  });

  it('reads back units and combinations', () => {
    const unit = {
      kind: 'organization-unit',
      mspId: 'A',
      unit: 'trade',
      certifiersDigest: '00ff',
    } as const;
    const value: Policy = {
      kind: 'signature',
      rule: signedBy(0),
      principals: [{ kind: 'combined', principals: [unit, member('A')] }],
    };
    expect(decodePolicy(encodePolicy(value))).to.deep.equal({ kind: 'ok', value });
  });

  it('names what it does not accept', () => {
    const envelope = (
      change: (message: InstanceType<typeof policies.SignaturePolicyEnvelope>) => void,
    ) => {
      const message = new policies.SignaturePolicyEnvelope();
      const leaf = new policies.SignaturePolicy();
      leaf.setSignedBy(0);
      message.setRule(leaf);
      message.setIdentitiesList([new principals.MSPPrincipal()]);
      change(message);
      const policy = new policies.Policy();
      policy.setType(1);
      policy.setValue(message.serializeBinary());
      return decodePolicy(policy);
    };
    const nested = new policies.SignaturePolicy();
    nested.setSignedBy(0);
    let deep = nested;
    for (let level = 0; level < 40; level++) {
      const outer = new policies.SignaturePolicy();
      const inner = new policies.SignaturePolicy.NOutOf();
      inner.setN(1);
      inner.setRulesList([deep]);
      outer.setNOutOf(inner);
      deep = outer;
    }
    const anonymous = new principals.MSPPrincipal();
    anonymous.setPrincipalClassification(3);
    expect(envelope((message) => message.setVersion(1)))
      .to.have.property('reason')
      .that.matches(/version 1/);
    expect(envelope((message) => message.setIdentitiesList([])))
      .to.have.property('reason')
      .that.matches(/signed_by 0, but there are 0/);
    expect(envelope((message) => message.setRule(new policies.SignaturePolicy())))
      .to.have.property('reason')
      .that.matches(/neither signed_by nor n_out_of/);
    expect(envelope((message) => message.setRule(undefined)))
      .to.have.property('reason')
      .that.matches(/without a rule/);
    expect(envelope((message) => message.setRule(deep)))
      .to.have.property('reason')
      .that.matches(/nested deeper/);
    expect(envelope((message) => message.setIdentitiesList([anonymous])))
      .to.have.property('reason')
      .that.matches(/classification 3 is not supported/);
    expect(decodePolicy(new policies.Policy()))
      .to.have.property('reason')
      .that.matches(/type 0 is not supported/);
  });

  it('is quick with lengths that lie', () => {
    const lies = [
      [0x12, 0xff, 0xff, 0xff, 0x7f, 0x08, 0x01],
      [0x0a, 0xff, 0xff, 0xff, 0xff, 0x07],
      [0x12, 0x05, 0x12, 0xff, 0xff, 0xff, 0x7f],
      [0x12, 0x04, 0x12, 0x02, 0x12, 0x7f],
    ];
    for (const bytes of lies) {
      for (const type of [1, 3] as const) {
        const policy = new policies.Policy();
        policy.setType(type);
        policy.setValue(Uint8Array.from(bytes));
        const startedMs = performance.now();
        expect(decodePolicy(policy)).to.have.property('kind', 'malformed');
        expect(performance.now() - startedMs).to.be.below(1_000);
      }
    }
  });

  it('is total over arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(1, 3), (bytes, type) => {
        const policy = new policies.Policy();
        policy.setType(type);
        policy.setValue(bytes);
        expect(decodePolicy(policy).kind).to.be.oneOf(['ok', 'malformed']);
      }),
      { numRuns: 2_000 },
    );
  });
});
