/** replica.yaml: what is one replica's own. */

import { dirname, resolve } from 'node:path';
import { type DeviceChoice, MEMORY_WINDOWS } from '../../rdma/contract.ts';
import { CONFIG_LIMITS } from '../channel-config/index.ts';
import {
  DURABILITIES,
  LOG_LEVELS,
  PRIORITIES,
  SETTINGS_DEFAULTS,
  SETTINGS_LIMITS,
  WAIT_MODES,
} from './defaults.ts';
import { hostExpected } from './network.ts';
import { readYaml, type Section } from './yaml-section.ts';

/** Absolute paths of a certificate and its private key. */
export interface KeyFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

export interface ReplicaSettings {
  readonly file: string;
  readonly number: number;
  /** Absolute, like all paths here. */
  readonly networkFile: string;
  readonly dataDirectory: string;
  readonly keys: { readonly identity: KeyFiles; readonly tls: KeyFiles };
  /** Port 0: the system chooses. */
  readonly api: { readonly host: string; readonly port: number };
  /** Undefined: plain JSON submissions are off. */
  readonly gateway: (KeyFiles & { readonly mspId: string }) | undefined;
  readonly log: { readonly level: (typeof LOG_LEVELS)[number] };
  /** Which RDMA device, where network.yaml says `verbs`; what is absent is chosen. */
  readonly rdma: DeviceChoice;
  readonly verifyThreads: number;
  /** Undefined: the channel's own. */
  readonly waitMode: (typeof WAIT_MODES)[number] | undefined;
  /** Polling before it blocks, in wait mode `adaptive`. */
  readonly spinUs: number;
  /** `consensus`: the other threads give way to it. `equal`: they compete. */
  readonly priorities: (typeof PRIORITIES)[number];
  /** `wal`: votes are on disk before they are sent. `memory`: nothing of consensus is. */
  readonly durability: (typeof DURABILITIES)[number];
  /** Free bytes of the disk below which the replica stands still until there is room again. */
  readonly diskReserveBytes: number;
}

/** Throws SettingsError. */
export function readReplicaFile(file: string): ReplicaSettings {
  return readYaml(file, (root) => {
    root.integer('version', { min: 1, max: 1 });
    const directory = dirname(resolve(file));
    const path = (section: Section | undefined, key: string, fallback?: string): string =>
      section === undefined
        ? ''
        : resolve(directory, section.text(key, fallback === undefined ? {} : { fallback }));
    const pair = (section: Section | undefined): KeyFiles => ({
      certificateFile: path(section, 'certificate'),
      keyFile: path(section, 'key'),
    });
    const keys = root.section('keys', 'required');
    const api = root.section('api', 'required');
    const gateway = root.section('gateway', 'optional');
    const log = root.section('log', 'optional');
    return {
      file,
      number: root.integer('number', { min: 1, max: CONFIG_LIMITS.consenterNumberMax }),
      networkFile: path(root, 'network', SETTINGS_DEFAULTS.network),
      dataDirectory: path(root, 'dataDirectory', SETTINGS_DEFAULTS.dataDirectory),
      keys: {
        identity: pair(keys?.section('identity', 'required')),
        tls: pair(keys?.section('tls', 'required')),
      },
      api: {
        host:
          api?.text('host', { fallback: SETTINGS_DEFAULTS.apiHost, expected: hostExpected }) ?? '',
        port: api?.integer('port', { min: 0, max: SETTINGS_LIMITS.portMax }) ?? 0,
      },
      gateway:
        gateway === undefined ? undefined : { mspId: gateway.text('mspId'), ...pair(gateway) },
      log: {
        level:
          log?.choice('level', LOG_LEVELS, SETTINGS_DEFAULTS.logLevel) ??
          SETTINGS_DEFAULTS.logLevel,
      },
      rdma: readRdma(root.section('rdma', 'optional')),
      verifyThreads: root.integer('verifyThreads', {
        min: 1,
        max: SETTINGS_LIMITS.verifyThreadsMax,
        fallback: SETTINGS_DEFAULTS.verifyThreads,
      }),
      waitMode: root.has('waitMode') ? root.choice('waitMode', WAIT_MODES) : undefined,
      spinUs: root.integer('spinUs', {
        min: 0,
        max: SETTINGS_LIMITS.spinUsMax,
        fallback: SETTINGS_DEFAULTS.spinUs,
      }),
      priorities: root.choice('priorities', PRIORITIES, SETTINGS_DEFAULTS.priorities),
      durability: root.choice('durability', DURABILITIES, SETTINGS_DEFAULTS.durability),
      diskReserveBytes: root.integer('diskReserveBytes', {
        min: SETTINGS_LIMITS.diskReserveBytesMin,
        max: SETTINGS_LIMITS.diskReserveBytesMax,
        fallback: SETTINGS_DEFAULTS.diskReserveBytes,
      }),
    };
  });
}

function readRdma(section: Section | undefined): ReplicaSettings['rdma'] {
  if (section === undefined) return {};
  return {
    ...(section.has('device') && { device: section.text('device') }),
    ...(section.has('gidIndex') && {
      gidIndex: section.integer('gidIndex', { min: 0, max: SETTINGS_LIMITS.gidIndexMax }),
    }),
    ...(section.has('memoryWindows') && {
      memoryWindows: section.choice('memoryWindows', MEMORY_WINDOWS),
    }),
  };
}
