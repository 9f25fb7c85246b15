/**
 * Frames of the session bootstrap: JSON objects of bounded size, one a link frame
 * of topic LINK_TOPICS.bootstrap.
 *
 *   OFFER    {kind:'offer', channel, token, offer}    map this region; bring the token back
 *   MAPPED   {kind:'mapped', channel, token}          your region is mapped; here is your token
 *   REFUSED  {kind:'refused', channel, code, message} this session will not open; the link is dropped
 *
 * The decoder is total: exact keys, checked types and lengths, or `malformed`.
 */
import { PROVIDERS, type RegionOffer } from './contract.ts';

/** Largest frame, bytes; an offer with the longest names stays well below. */
export const BOOTSTRAP_FRAME_BYTES_MAX = 2048;
export const TOKEN_BYTES = 16;
const MESSAGE_CHARS_MAX = 200;
/** 40 bytes, `VerbsEndpoint` of native/verbs.h. */
const ENDPOINT = /^[0-9a-f]{80}$/;
/** 1 TiB: far above any layout, far below where arithmetic on sizes becomes delicate. */
const REGION_BYTES_MAX = 2 ** 40;

export const BOOTSTRAP_REFUSALS = [
  'malformed_frame',
  'repeated_frame',
  'out_of_order',
  'wrong_token',
  'transport_failed',
  'link_busy',
  'map_timeout',
  'restarted',
] as const;

export type BootstrapRefusal = (typeof BOOTSTRAP_REFUSALS)[number];

export type BootstrapFrame =
  | {
      readonly kind: 'offer';
      readonly channel: string;
      /** 16 random bytes, lower-case hex; valid once, in this session. */
      readonly token: string;
      readonly offer: RegionOffer;
    }
  | { readonly kind: 'mapped'; readonly channel: string; readonly token: string }
  | {
      readonly kind: 'refused';
      readonly channel: string;
      readonly code: BootstrapRefusal;
      readonly message: string;
    };

export type DecodedBootstrapFrame =
  | BootstrapFrame
  | { readonly kind: 'malformed'; readonly reason: string };

export function encodeBootstrapFrame(frame: BootstrapFrame): Uint8Array {
  const bounded =
    frame.kind === 'refused'
      ? { ...frame, message: frame.message.slice(0, MESSAGE_CHARS_MAX) }
      : frame;
  return Buffer.from(JSON.stringify(bounded), 'utf8');
}

export function decodeBootstrapFrame(bytes: Uint8Array): DecodedBootstrapFrame {
  if (bytes.length > BOOTSTRAP_FRAME_BYTES_MAX) return malformed('too large');
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return malformed('not JSON');
  }
  if (!isRecord(value)) return malformed('not an object');
  const { kind, channel } = value;
  if (!isChannel(channel)) return malformed('channel');
  switch (kind) {
    case 'offer':
      return decodeOffer(value, channel);
    case 'mapped':
      if (!hasKeys(value, ['kind', 'channel', 'token'])) return malformed('keys of mapped');
      if (!isToken(value.token)) return malformed('token');
      return { kind, channel, token: value.token };
    case 'refused':
      return decodeRefused(value, channel);
    default:
      return malformed('kind');
  }
}

/**
 * Channel that a frame is for, to hand it to that channel's `Bootstrap`;
 * undefined when it is malformed.
 */
export function bootstrapChannel(bytes: Uint8Array): string | undefined {
  const frame = decodeBootstrapFrame(bytes);
  return frame.kind === 'malformed' ? undefined : frame.channel;
}

function decodeOffer(value: Record<string, unknown>, channel: string): DecodedBootstrapFrame {
  if (!hasKeys(value, ['kind', 'channel', 'token', 'offer'])) return malformed('keys of offer');
  const { token, offer } = value;
  if (!isToken(token)) return malformed('token');
  if (!isRecord(offer)) return malformed('offer');
  const { name, regionBytes, layoutDigest } = offer;
  const provider = PROVIDERS.find((known) => known === offer.provider);
  if (provider === undefined) return malformed('provider');
  const own = provider === 'verbs' ? ['endpoint'] : [];
  if (!hasKeys(offer, ['provider', 'name', 'regionBytes', 'layoutDigest', ...own])) {
    return malformed('keys of the region offer');
  }
  // The name reaches shm_open: one path component, no dots to climb with.
  if (typeof name !== 'string' || !/^\/?[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/.test(name)) {
    return malformed('region name');
  }
  if (
    typeof regionBytes !== 'number' ||
    !Number.isSafeInteger(regionBytes) ||
    regionBytes <= 0 ||
    regionBytes > REGION_BYTES_MAX
  ) {
    return malformed('regionBytes');
  }
  if (typeof layoutDigest !== 'string' || !/^[0-9a-f]{8,128}$/.test(layoutDigest)) {
    return malformed('layoutDigest');
  }
  const region = { provider, name, regionBytes, layoutDigest };
  if (provider !== 'verbs') return { kind: 'offer', channel, token, offer: region };
  const { endpoint } = offer;
  if (typeof endpoint !== 'string' || !ENDPOINT.test(endpoint)) return malformed('endpoint');
  return { kind: 'offer', channel, token, offer: { ...region, endpoint } };
}

function decodeRefused(value: Record<string, unknown>, channel: string): DecodedBootstrapFrame {
  if (!hasKeys(value, ['kind', 'channel', 'code', 'message'])) return malformed('keys of refused');
  const code = BOOTSTRAP_REFUSALS.find((known) => known === value.code);
  const { message } = value;
  if (code === undefined) return malformed('code');
  if (typeof message !== 'string' || message.length > MESSAGE_CHARS_MAX)
    return malformed('message');
  return { kind: 'refused', channel, code, message: message.replace(/[^ -~]/g, '?') };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function hasKeys(value: Record<string, unknown>, keys: readonly string[]): boolean {
  return (
    Object.keys(value).length === keys.length && keys.every((key) => Object.hasOwn(value, key))
  );
}

function isChannel(value: unknown): value is string {
  return typeof value === 'string' && /^[a-z][a-z0-9.-]{0,248}$/.test(value);
}

function isToken(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);
}

function malformed(reason: string): DecodedBootstrapFrame {
  return { kind: 'malformed', reason };
}
