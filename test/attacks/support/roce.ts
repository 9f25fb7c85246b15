/** RoCE v2 packets in Ethernet frames, as anybody on the wire can make them. */
import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';

const ROCE_PORT = 4791;
const ETHERTYPE_IPV4 = 0x0800;
const PROTOCOL_UDP = 17;
const IP_BYTES = 20;
const UDP_BYTES = 8;
const BASE_HEADER_BYTES = 12;
const INVARIANT_CRC_BYTES = 4;

/** InfiniBand architecture, volume 1, chapter 9: opcodes of the reliable connection. */
export const OPCODE = { SEND_ONLY: 0x04, WRITE_ONLY: 0x0a, READ_REQUEST: 0x0c, ACKNOWLEDGE: 0x11 };
export const NAK_REMOTE_ACCESS = 0x62;

export interface Packet {
  readonly opcode: number;
  readonly pair: number;
  readonly sequence: number;
  /** Headers after the base header, and payload; a multiple of four bytes. */
  readonly body: Uint8Array;
  readonly source?: string;
  readonly destination: string;
  /** Breaks the checksum. */
  readonly isBroken?: boolean;
}

/** Where a write or read goes (RETH). */
export function remoteHeader(address: bigint, key: number, bytes: number): Buffer {
  const header = Buffer.alloc(16);
  header.writeBigUInt64BE(address, 0);
  header.writeUInt32BE(key, 8);
  header.writeUInt32BE(bytes, 12);
  return header;
}

/** AETH. */
export function acknowledgeHeader(syndrome: number): Buffer {
  return Buffer.from([syndrome, 0, 0, 0]);
}

function hardwareAddress(networkInterface: string): Buffer {
  const text = readFileSync(`/sys/class/net/${networkInterface}/address`, 'utf8').trim();
  return Buffer.from(text.replaceAll(':', ''), 'hex');
}

function ipHeader(bytes: number, source: string, destination: string): Buffer {
  const header = Buffer.alloc(IP_BYTES);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(bytes, 2);
  header.writeUInt16BE(0x4000, 6);
  header.writeUInt8(64, 8);
  header.writeUInt8(PROTOCOL_UDP, 9);
  header.set(source.split('.').map(Number), 12);
  header.set(destination.split('.').map(Number), 16);
  let sum = 0;
  for (let at = 0; at < IP_BYTES; at += 2) sum += header.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  header.writeUInt16BE(~sum & 0xffff, 10);
  return header;
}

/** Over what no router changes: those fields count as ones (annex 17 of the architecture). */
function invariantCrc(ip: Buffer, udp: Buffer, base: Buffer, body: Uint8Array): Buffer {
  const [maskedIp, maskedUdp, maskedBase] = [ip, udp, base].map((header) => Buffer.from(header));
  maskedIp?.fill(0xff, 1, 2);
  maskedIp?.fill(0xff, 8, 9);
  maskedIp?.fill(0xff, 10, 12);
  maskedUdp?.fill(0xff, 6, 8);
  maskedBase?.fill(0xff, 4, 5);
  const covered = [Buffer.alloc(8, 0xff), maskedIp, maskedUdp, maskedBase, Buffer.from(body)];
  const crc = Buffer.alloc(INVARIANT_CRC_BYTES);
  crc.writeUInt32LE(crc32(Buffer.concat(covered as Buffer[])));
  return crc;
}

/** From one end of a cable to the other. */
export function ethernetFrame(from: string, to: string, packet: Packet): Buffer {
  const { opcode, pair, sequence, body, destination, source = destination, isBroken } = packet;
  const base = Buffer.alloc(BASE_HEADER_BYTES);
  base.writeUInt8(opcode, 0);
  base.writeUInt16BE(0xffff, 2);
  base.writeUInt32BE(pair, 4);
  base.writeUInt32BE(sequence & 0xffffff, 8);
  base.writeUInt8(0x80, 8); // asks for an acknowledgement
  const udp = Buffer.alloc(UDP_BYTES);
  const udpBytes = UDP_BYTES + BASE_HEADER_BYTES + body.length + INVARIANT_CRC_BYTES;
  udp.writeUInt16BE(49_152, 0);
  udp.writeUInt16BE(ROCE_PORT, 2);
  udp.writeUInt16BE(udpBytes, 4);
  const ip = ipHeader(IP_BYTES + udpBytes, source, destination);
  const crc = invariantCrc(ip, udp, base, body);
  if (isBroken === true) crc.writeUInt8(crc.readUInt8(0) ^ 1, 0);
  const ethernet = Buffer.alloc(14);
  ethernet.set(hardwareAddress(to), 0);
  ethernet.set(hardwareAddress(from), 6);
  ethernet.writeUInt16BE(ETHERTYPE_IPV4, 12);
  return Buffer.concat([ethernet, ip, udp, base, body, crc]);
}
