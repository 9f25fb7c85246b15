/**
 * May the creator of an envelope write to the channel? Membership (orderer/msp) and the Writers policy together, for
 * one identity: an envelope carries one signature.
 */
import type { ChannelConfig } from '../channel-config/types.ts';
import { ORDERER_LIMITS } from '../limits.ts';
import { evaluate, type PolicyIdentity } from '../policy/index.ts';
import type { RefusalCode } from '../service.ts';
import type { VerifyKey } from '../signature/index.ts';

/** Fabric: common/policies ChannelWriters. */
const WRITERS_POLICY = '/Channel/Writers';

export type WriterJudgement =
  | {
      readonly kind: 'writer';
      readonly mspId: string;
      readonly key: VerifyKey;
      /** The Writers policy is satisfied by this identity alone. */
      readonly mayWrite: boolean;
      readonly notBeforeMs: number;
      readonly notAfterMs: number;
    }
  | { readonly kind: 'refused'; readonly code: RefusalCode; readonly message: string };

/** What is needed of `IdentityResolver`. */
export interface CreatorResolver {
  /** Without `nowMs` the validity period is reported and not judged. */
  resolve(
    creator: Uint8Array,
    nowMs: undefined,
  ):
    | {
        readonly kind: 'identity';
        readonly identity: PolicyIdentity & {
          readonly publicKey: VerifyKey;
          readonly notBeforeMs: number;
          readonly notAfterMs: number;
        };
      }
    | { readonly kind: 'refused'; readonly code: RefusalCode; readonly message: string };
}

/**
 * Judges creators against one channel configuration. The clock is left aside: the answer for the same bytes never
 * changes, which `EnvelopeChecker.checkBatch` depends on.
 */
export function createWriterJudge(
  config: Pick<ChannelConfig, 'policies'>,
  resolver: CreatorResolver,
): (creator: Uint8Array) => WriterJudgement {
  /** By certificate and organization, oldest first. Answers of a pure function: bounded, never stale. */
  const decisions = new Map<string, boolean>();
  function mayWrite(identity: PolicyIdentity): boolean {
    const name = `${identity.certificateDigest}/${identity.mspId}`;
    const known = decisions.get(name);
    if (known !== undefined) return known;
    const allowed = evaluate(config.policies, WRITERS_POLICY, [identity]);
    decisions.set(name, allowed);
    if (decisions.size > ORDERER_LIMITS.writersCachedMax) {
      const oldest = decisions.keys().next();
      if (!oldest.done) decisions.delete(oldest.value);
    }
    return allowed;
  }
  return (creator) => {
    const resolved = resolver.resolve(creator, undefined);
    if (resolved.kind === 'refused') return resolved;
    const { identity } = resolved;
    const { mspId, publicKey: key, notBeforeMs, notAfterMs } = identity;
    return { kind: 'writer', mspId, key, mayWrite: mayWrite(identity), notBeforeMs, notAfterMs };
  };
}
