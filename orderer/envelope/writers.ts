/**
 * May the creator of an envelope write to the channel? Asks membership (orderer/msp) with the clock
 * left aside: the answer for the same bytes never changes then, which `EnvelopeChecker.checkBatch`
 * depends on.
 */
import type { RefusalCode } from '../service.ts';
import type { VerifyKey } from '../signature/index.ts';
import type { Validity } from './transaction.ts';

export type WriterJudgement =
  | {
      readonly kind: 'writer';
      readonly mspId: string;
      readonly key: VerifyKey;
      /**
       * The Writers policy is satisfied by this identity alone: an envelope carries one signature.
       */
      readonly mayWrite: boolean;
      readonly validity: Validity;
    }
  | {
      readonly kind: 'refused';
      readonly code: RefusalCode;
      /** What exactly, without a full stop. */
      readonly message: string;
    };

/** What is needed of `IdentityResolver`. */
export interface CreatorResolver {
  /** Without `nowMs` the validity period is reported and not judged. */
  resolve(
    creator: Uint8Array,
    nowMs: undefined,
  ):
    | {
        readonly kind: 'identity';
        readonly identity: Validity & {
          readonly mspId: string;
          readonly publicKey: VerifyKey;
          readonly mayWrite: boolean;
        };
      }
    | { readonly kind: 'refused'; readonly code: RefusalCode; readonly message: string };
}

/** The function that `InspectContext` wants, for one channel configuration. */
export function createWriterJudge(
  resolver: CreatorResolver,
): (creator: Uint8Array) => WriterJudgement {
  return (creator) => {
    const resolved = resolver.resolve(creator, undefined);
    if (resolved.kind === 'refused') return resolved;
    const { identity } = resolved;
    const { mspId, publicKey: key, mayWrite } = identity;
    return { kind: 'writer', mspId, key, mayWrite, validity: identity };
  };
}
