/**
 * Bytes of consensus: total decoders, one encoding per value. Layouts are drawn at the head of each
 * file. Encoders throw RangeError for values that have no encoding (a bug of the caller).
 */
export {
  createLaneEncoder,
  decodeLaneBatch,
  encodeLaneBatch,
  LANE_FRAME_HEADER_BYTES,
  laneFrameHeader,
} from './batch.ts';
export type { Decoded } from './bytes.ts';
export {
  type CellFrame,
  cellBodyBytes,
  createCellDecoder,
  createCellEncoder,
  decodeCell,
  encodeCell,
} from './cells.ts';
export { encodeCheckpointState } from './certificates.ts';
export {
  decodeEnvelopeList,
  ENVELOPES_PER_LIST_MAX,
  encodedListBytes,
  encodeEnvelopeList,
} from './envelope-list.ts';
export { decodeMessage, encodeMessage, unwrapApplication, wrapApplication } from './messages.ts';
export {
  decodeProposalBody,
  proposalFlags,
  writeProposalBody,
} from './proposal.ts';
export { createRecordEncoder, decodeRecord, encodeRecord } from './records.ts';
export {
  encodeNewViewBody,
  encodeViewChangeBody,
  type NewViewBody,
  newViewBodyOf,
  newViewBytesMax,
  REPORTS_MAX,
  type ViewChangeBody,
  viewChangeBodyOf,
} from './view-change.ts';
