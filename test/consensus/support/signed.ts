/** Well-formed, signed words of any replica: true ones and lies. */
import type {
  Checkpoint,
  CheckpointCertificate,
  CheckpointState,
  Digest24,
  NewView,
  Prepare,
  PreparedCertificate,
  Proposal,
  SlotReport,
  ViewChange,
} from '../../../consensus/core/index.ts';
import { quorum } from '../../../consensus/core/index.ts';
import type { CoreState } from '../../../consensus/core/state.ts';
import { testCrypto } from './crypto.ts';

/** Makers for the run of `state`. */
export function signedWords(state: CoreState) {
  const { digests, replicas } = state;
  const everybody = Array.from({ length: replicas }, (_, signer) => signer);
  const q = everybody.slice(0, quorum(replicas));
  const sign = (signer: number, text: Uint8Array) => testCrypto(signer).sign(text);
  const words = {
    prepare(signer: number, proposal: Proposal, view = 0): Prepare {
      const { slot } = proposal;
      const digest = digests.proposal(proposal);
      const signature = sign(signer, digests.prepare(signer, view, slot, digest));
      return { view, slot, digest, signer, signature };
    },
    prepared(view: number, slot: number, digest: Digest24, signers = q): PreparedCertificate {
      const signatures = signers.map((signer) => ({
        signer,
        signature: sign(signer, digests.prepare(signer, view, slot, digest)),
      }));
      return { view, slot, digest, signatures };
    },
    checkpoint(signer: number, of: CheckpointState): Checkpoint {
      const text = digests.checkpointText(signer, digests.checkpoint(of));
      return { state: of, signer, signature: sign(signer, text) };
    },
    certificate(of: CheckpointState, signers = q): CheckpointCertificate {
      const signatures = signers.map((signer) => ({
        signer,
        signature: words.checkpoint(signer, of).signature,
      }));
      return { state: of, signatures };
    },
    viewChange(
      signer: number,
      view: number,
      reports: readonly SlotReport[] = [],
      checkpoint?: CheckpointCertificate,
      lives: readonly number[] = everybody.map(() => 0),
    ): ViewChange {
      const body = { view, signer, lives, checkpoint, reports };
      return { ...body, signature: sign(signer, digests.viewChange(body)) };
    },
    newView(view: number, changes: readonly ViewChange[], leader = view % replicas): NewView {
      const body = { view, changes };
      return { ...body, signature: sign(leader, digests.newView(body)) };
    },
    /** In which q replicas, from the first on, report these. */
    newViewOf(view: number, reports: readonly SlotReport[] = [], of?: CheckpointState): NewView {
      const checkpoint = of && words.certificate(of);
      return words.newView(
        view,
        q.map((signer) => words.viewChange(signer, view, reports, checkpoint)),
      );
    },
  };
  return words;
}

export function voteReport(slot: number, view: number, digest: Digest24): SlotReport {
  return { slot, vote: { view, digest }, prepared: undefined };
}
