/**
 * Creation of a network: keys, certificates, genesis block, settings. All of
 * it or nothing appears on disk.
 */

import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import {
  type ChannelConfig,
  type Consenter,
  encodeGenesisBlock,
  type MspConfig,
  readChannelConfig,
} from '../channel-config/index.ts';
import { standardPolicies } from '../policy/index.ts';
import { SETTINGS_DEFAULTS } from '../settings/defaults.ts';
import { EMPTY_RECORD, encodeRunRecord, RUN_RECORD_FILE } from '../startup/run-record.ts';
import { createAuthority, issueCertificate, type KeyPair } from './certificates.ts';
import { NetworkError } from './errors.ts';
import { makeDirectory, syncDirectory, writeKeyPair, writeNewFile } from './files.ts';
import { APPLICATION_MSP, NETWORK_FILE, ORDERER_MSP, replicaFile } from './layout.ts';
import { type CreateNetworkOptions, channelsOf, type Plan, placesOf, planOf } from './plan.ts';
import { apiAddress, apiUrl, networkYaml, type ReplicaPlace, replicaYaml } from './yaml-text.ts';

export interface CreatedNetwork {
  readonly directory: string;
  readonly networkFile: string;
  readonly genesisFile: string;
  readonly config: ChannelConfig;
  readonly replicas: readonly { number: number; api: string; configFile: string }[];
  /** The key that `sluice submit` signs with unless told otherwise. */
  readonly user: { mspId: string; certificateFile: string; keyFile: string };
}

/** Throws NetworkError `network_exists`, `directory_not_empty`, `bad_option`. */
export async function createNetwork(options: CreateNetworkOptions): Promise<CreatedNetwork> {
  const plan = planOf(options);
  const target = resolve(plan.directory);
  await requireFree(target);
  const parent = dirname(target);
  await mkdir(parent, { recursive: true });
  const draft = join(parent, `.${basename(target)}.${randomBytes(6).toString('hex')}.creating`);
  await makeDirectory(draft);
  try {
    const config = await fill(draft, plan, options.onProgress ?? (() => {}));
    await publish(draft, target);
    await syncDirectory(parent);
    return describe(target, plan, config);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

async function requireFree(target: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(target);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    if (errorCode(error) !== 'ENOTDIR') throw error;
    throw new NetworkError('directory_not_empty', `${target} is a file; name another directory`);
  }
  if (names.includes(NETWORK_FILE)) throw exists(target);
  if (names.length > 0) {
    throw new NetworkError(
      'directory_not_empty',
      `${target} is not empty (${names.slice(0, 3).join(', ')}); name another directory`,
    );
  }
}

function exists(target: string): NetworkError {
  return new NetworkError(
    'network_exists',
    `there is a network in ${target} already; it is left as it is. Start it with sluice start, or name another directory`,
  );
}

async function publish(draft: string, target: string): Promise<void> {
  try {
    await rename(draft, target);
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOTEMPTY' || code === 'EEXIST') throw exists(target);
    if (code !== 'EBUSY' && code !== 'ENOTDIR') throw error;
    throw new NetworkError(
      'bad_option',
      `directory: ${target} is a mount point or a link and cannot be made in one step; name a directory in it, like ${join(target, 'network')}`,
    );
  }
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

async function fill(
  draft: string,
  plan: Plan,
  onProgress: NonNullable<CreateNetworkOptions['onProgress']>,
): Promise<ChannelConfig> {
  const total = plan.replicas + 3;
  let done = 0;
  const progress = (step: string): void => onProgress({ done: ++done, total, step });
  const { nowMs } = plan;

  const ca = await createAuthority({ commonName: 'ca', organization: ORDERER_MSP }, nowMs);
  const tlsCa = await createAuthority({ commonName: 'tlsca', organization: ORDERER_MSP }, nowMs);
  await writeKeyPair(join(draft, 'orgs', ORDERER_MSP, 'ca'), '', ca);
  await writeKeyPair(join(draft, 'orgs', ORDERER_MSP, 'tlsca'), '', tlsCa);
  progress(`organization ${ORDERER_MSP}`);

  const orgCa = await createAuthority({ commonName: 'ca', organization: APPLICATION_MSP }, nowMs);
  const organization = join(draft, 'orgs', APPLICATION_MSP);
  await writeKeyPair(join(organization, 'ca'), '', orgCa);
  for (const [name, unit] of [
    ['admin', 'admin'],
    ['user', 'client'],
  ] as const) {
    const writer = await member(orgCa, APPLICATION_MSP, name, unit, nowMs);
    await writeKeyPair(join(organization, 'users', name), '', writer);
  }
  progress(`organization ${APPLICATION_MSP}`);

  const consenters: Consenter[] = [];
  for (const place of placesOf(plan)) {
    consenters.push(await createReplica(draft, plan, place, { ca, tlsCa, orgCa }));
    progress(`replica ${place.number}`);
  }
  const config = configOf(plan, consenters, { ca, tlsCa, orgCa });
  const channels = channelsOf(plan);
  for (const channel of channels) {
    const genesis = encodeGenesisBlock({ ...config, channel });
    readChannelConfig(genesis);
    await writeNewFile(join(draft, 'genesis', `${channel}.block`), genesis);
  }
  const text = { ...plan, channels, replicas: placesOf(plan) };
  await writeNewFile(join(draft, NETWORK_FILE), networkYaml(text));
  progress(`genesis block of channel ${channels.join(', ')}`);
  return config;
}

interface Authorities {
  readonly ca: KeyPair;
  readonly tlsCa: KeyPair;
  readonly orgCa: KeyPair;
}

async function createReplica(
  draft: string,
  plan: Plan,
  place: ReplicaPlace,
  authorities: Authorities,
): Promise<Consenter> {
  const { number, host, linkPort: port } = place;
  const { nowMs } = plan;
  const name = `replica-${number}`;
  const keys = join(draft, name, 'keys');
  const identity = await member(authorities.ca, ORDERER_MSP, name, 'orderer', nowMs);
  const tls = await issueCertificate(
    authorities.tlsCa,
    { commonName: name, organization: ORDERER_MSP },
    {
      algorithm: 'ed25519',
      purpose: { kind: 'tls', hosts: [...new Set([host, 'localhost', '127.0.0.1', '::1'])] },
      nowMs,
    },
  );
  await writeKeyPair(keys, 'identity-', identity);
  await writeKeyPair(keys, 'tls-', tls);
  if (plan.gateway) {
    const gateway = `gateway-${number}`;
    const pair = await member(authorities.orgCa, APPLICATION_MSP, gateway, 'client', nowMs);
    await writeKeyPair(keys, 'gateway-', pair);
  }
  const yaml = replicaYaml(place, plan.gateway ? APPLICATION_MSP : undefined);
  await writeNewFile(replicaFile(draft, number), yaml);
  // A replica without this record has lost its memory (docs/protocol.md, B9); a new one has none to lose.
  for (const channel of channelsOf(plan)) {
    const record = join(draft, name, SETTINGS_DEFAULTS.dataDirectory, channel, RUN_RECORD_FILE);
    await writeNewFile(record, encodeRunRecord(EMPTY_RECORD));
  }
  return {
    number,
    host,
    port,
    mspId: ORDERER_MSP,
    identityPem: identity.certificatePem,
    clientTlsPem: tls.certificatePem,
    serverTlsPem: tls.certificatePem,
  };
}

/** An identity of an organization; its unit is its role. */
function member(
  authority: KeyPair,
  organization: string,
  commonName: string,
  unit: string,
  nowMs: number,
): Promise<KeyPair> {
  const subject = { commonName, organization, unit };
  return issueCertificate(authority, subject, { algorithm: 'ed25519', purpose: 'identity', nowMs });
}

function configOf(
  plan: Plan,
  consenters: readonly Consenter[],
  authorities: Authorities,
): ChannelConfig {
  const msps = [
    mspOf(ORDERER_MSP, 'OrdererOrg', 'orderer', authorities.ca, authorities.tlsCa),
    mspOf(APPLICATION_MSP, 'Org1', 'application', authorities.orgCa, undefined),
  ];
  return {
    channel: plan.channel,
    sequence: 0,
    createdAtMs: plan.nowMs,
    batchSize: plan.batchSize,
    batchTimeoutMs: plan.batchTimeoutMs,
    consenters,
    msps,
    policies: standardPolicies(msps, consenters),
    sluice: plan.sluice,
    ordererAddresses: plan.apiPortBase === 0 ? [] : placesOf(plan).map(apiAddress),
  };
}

function mspOf(
  mspId: string,
  group: string,
  kind: 'orderer' | 'application',
  ca: KeyPair,
  tlsCa: KeyPair | undefined,
): MspConfig {
  const ou = (unit: string) => ({ unit, certificatePem: ca.certificatePem });
  return {
    mspId,
    group,
    kind,
    rootCertsPem: [ca.certificatePem],
    intermediateCertsPem: [],
    adminsPem: [],
    revokedPem: [],
    tlsRootCertsPem: tlsCa === undefined ? [] : [tlsCa.certificatePem],
    tlsIntermediateCertsPem: [],
    nodeOus: { client: ou('client'), peer: ou('peer'), admin: ou('admin'), orderer: ou('orderer') },
    organizationalUnits: [],
  };
}

function describe(target: string, plan: Plan, config: ChannelConfig): CreatedNetwork {
  const user = join(target, 'orgs', APPLICATION_MSP, 'users', 'user');
  return {
    directory: target,
    networkFile: join(target, NETWORK_FILE),
    genesisFile: join(target, 'genesis', `${plan.channel}.block`),
    config,
    replicas: placesOf(plan).map((place) => ({
      number: place.number,
      api: apiUrl(place),
      configFile: replicaFile(target, place.number),
    })),
    user: {
      mspId: APPLICATION_MSP,
      certificateFile: join(user, 'cert.pem'),
      keyFile: join(user, 'key.pem'),
    },
  };
}
