/**
 * `msp.SerializedIdentity` (fabric-protos msp/identities.proto): what a
 * signature header names as creator.
 */
import { type Decoded, decoded, WireReader } from './wire-reader.ts';
import { bytesSize, encodeText, WireWriter } from './wire-writer.ts';

export interface SerializedIdentity {
  mspId: string;
  /** PEM of an X.509 certificate, as bytes. */
  idBytes: Uint8Array;
}

export function encodeSerializedIdentity(identity: SerializedIdentity): Uint8Array {
  const mspId = encodeText(identity.mspId, 'SerializedIdentity.mspId');
  const writer = new WireWriter(bytesSize(mspId.length) + bytesSize(identity.idBytes.length));
  writer.bytesField(1, mspId);
  writer.bytesField(2, identity.idBytes);
  return writer.finish();
}

export function decodeSerializedIdentity(bytes: Uint8Array): Decoded<SerializedIdentity> {
  const reader = new WireReader(bytes);
  const mspId = reader.stringField(1, 'SerializedIdentity.mspid');
  const idBytes = reader.bytesField(2, 'SerializedIdentity.id_bytes');
  reader.finish('SerializedIdentity', 2);
  return decoded(reader, { mspId, idBytes });
}
