/**
 * An envelope read without making an object of any of its parts: for who looks at millions of them and has nothing to say of
 * most. It accepts no bytes that `parseEnvelope` refuses (test/ledger/envelope-scan.test.ts holds the two together), and says
 * nothing of why it refuses: `parseEnvelope` does.
 */
import { readTimestampMs } from './envelope.ts';
import { WireReader } from './wire-reader.ts';

/** Where the parts lie; each `...Start` and `...End` counts from the envelope's first byte. Valid after `scan` said true. */
export class EnvelopeScan {
  type = 0;
  channelIdStart = 0;
  channelIdEnd = 0;
  txIdStart = 0;
  txIdEnd = 0;
  creatorStart = 0;
  creatorEnd = 0;
  nonceStart = 0;
  nonceEnd = 0;
  signatureStart = 0;
  signatureEnd = 0;

  /**
   * Whether `parseEnvelope` accepts the envelope, on one condition: that channel and transaction id are UTF-8. They are not
   * decoded here, so the caller must compare them with text that is, and take the envelope to `parseEnvelope` when they differ.
   */
  scan(bytes: Uint8Array): boolean {
    const reader = new WireReader(bytes);
    const payloadOuter = reader.enterBytes(1, 'Envelope.payload');
    if (payloadOuter < 0) return false;
    const headerOuter = reader.enterMessage(1, 'Payload.header');
    if (headerOuter < 0) return false;
    this.#scanChannelHeader(reader);
    this.#scanSignatureHeader(reader);
    reader.leave(headerOuter, 'Header', 2);
    reader.spanField(2, 'Payload.data');
    reader.leave(payloadOuter, 'Payload', 2);
    this.signatureStart = reader.spanField(2, 'Envelope.signature');
    this.signatureEnd = reader.position;
    reader.finish('Envelope', 2);
    return reader.fault === undefined;
  }

  #scanChannelHeader(reader: WireReader): void {
    const outer = reader.enterBytes(1, 'Header.channel_header');
    if (outer < 0) {
      // As an absent field: no channel and no id, which no caller takes for what it must be.
      this.type = 0;
      this.channelIdStart = this.channelIdEnd = this.txIdStart = this.txIdEnd = 0;
      return;
    }
    this.type = reader.int32Field(1, 'ChannelHeader.type');
    reader.int32Field(2, 'ChannelHeader.version');
    readTimestampMs(reader);
    this.channelIdStart = reader.spanField(4, 'ChannelHeader.channel_id');
    this.channelIdEnd = reader.position;
    this.txIdStart = reader.spanField(5, 'ChannelHeader.tx_id');
    this.txIdEnd = reader.position;
    reader.uint64Field(6, 'ChannelHeader.epoch');
    reader.spanField(7, 'ChannelHeader.extension');
    reader.spanField(8, 'ChannelHeader.tls_cert_hash');
    reader.leave(outer, 'ChannelHeader', 8);
  }

  #scanSignatureHeader(reader: WireReader): void {
    const outer = reader.enterBytes(2, 'Header.signature_header');
    if (outer < 0) {
      this.creatorStart = this.creatorEnd = this.nonceStart = this.nonceEnd = 0;
      return;
    }
    this.creatorStart = reader.spanField(1, 'SignatureHeader.creator');
    this.creatorEnd = reader.position;
    this.nonceStart = reader.spanField(2, 'SignatureHeader.nonce');
    this.nonceEnd = reader.position;
    reader.leave(outer, 'SignatureHeader', 2);
  }
}
