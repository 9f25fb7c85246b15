/** Errors of creating and loading networks. */

export type NetworkErrorCode =
  /** There is a network in this directory already. */
  | 'network_exists'
  /** The directory holds something else. */
  | 'directory_not_empty'
  /** An option of `createNetwork` or `issueWriter` is out of range. */
  | 'bad_option'
  /** A file that the settings name is missing or unreadable. */
  | 'file_missing'
  /** A certificate, key or block file does not hold what it should. */
  | 'file_invalid'
  /** A private key that others than its owner may read. */
  | 'key_file_exposed'
  /**
   * Files that contradict each other: key and certificate, certificate and genesis
   * block, settings and genesis block.
   */
  | 'mismatch'
  /** `keygen`: this writer exists already. */
  | 'writer_exists';

export class NetworkError extends Error {
  readonly code: NetworkErrorCode;

  constructor(code: NetworkErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'NetworkError';
    this.code = code;
  }
}
