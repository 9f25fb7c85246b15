/** Cuts the ordered stream into blocks. */
export {
  BlockCutter,
  type BlockCutterOptions,
  type CutterMessage,
  type Ordered,
} from './cutter.ts';
