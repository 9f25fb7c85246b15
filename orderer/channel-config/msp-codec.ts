/** Organizations in Fabric's form: `msp.MSPConfig` of type FABRIC (msp/msp_config.proto). */

import type {
  FabricNodeOUs,
  FabricOUIdentifier,
} from '@hyperledger/fabric-protos/lib/msp/msp_config_pb.js';
import proto from '@hyperledger/fabric-protos/lib/msp/msp_config_pb.js';
import { ConfigError } from './errors.ts';
import { CONFIG_LIMITS } from './limits.ts';
import { parseProto, utf8, utf8Bytes } from './proto.ts';
import type { MspConfig, NodeOu, NodeOus } from './types.ts';
import { WIRE_SHAPES } from './wire-guard.ts';

/** `MSPConfig.type` of X.509 organizations (fabric msp/msp.go `FABRIC`). */
const FABRIC_TYPE = 0;

export function encodeMsp(msp: MspConfig): Uint8Array {
  const config = new proto.FabricMSPConfig();
  config.setName(msp.mspId);
  config.setRootCertsList(msp.rootCertsPem.map(utf8Bytes));
  config.setIntermediateCertsList(msp.intermediateCertsPem.map(utf8Bytes));
  config.setAdminsList(msp.adminsPem.map(utf8Bytes));
  config.setRevocationListList(msp.revokedPem.map(utf8Bytes));
  config.setOrganizationalUnitIdentifiersList(msp.organizationalUnits.map(encodeOu));
  config.setTlsRootCertsList(msp.tlsRootCertsPem.map(utf8Bytes));
  config.setTlsIntermediateCertsList(msp.tlsIntermediateCertsPem.map(utf8Bytes));
  const crypto = new proto.FabricCryptoConfig();
  crypto.setSignatureHashFamily('SHA2');
  crypto.setIdentityIdentifierHashFunction('SHA256');
  config.setCryptoConfig(crypto);
  if (msp.nodeOus !== undefined) config.setFabricNodeOus(encodeNodeOus(msp.nodeOus));
  const wrapper = new proto.MSPConfig();
  wrapper.setType(FABRIC_TYPE);
  wrapper.setConfig(config.serializeBinary());
  return wrapper.serializeBinary();
}

function encodeNodeOus(nodeOus: NodeOus): FabricNodeOUs {
  const message = new proto.FabricNodeOUs();
  message.setEnable(true);
  if (nodeOus.client !== undefined) message.setClientOuIdentifier(encodeOu(nodeOus.client));
  if (nodeOus.peer !== undefined) message.setPeerOuIdentifier(encodeOu(nodeOus.peer));
  if (nodeOus.admin !== undefined) message.setAdminOuIdentifier(encodeOu(nodeOus.admin));
  if (nodeOus.orderer !== undefined) message.setOrdererOuIdentifier(encodeOu(nodeOus.orderer));
  return message;
}

function encodeOu(ou: NodeOu): FabricOUIdentifier {
  const message = new proto.FabricOUIdentifier();
  message.setOrganizationalUnitIdentifier(ou.unit);
  if (ou.certificatePem !== undefined) message.setCertificate(utf8Bytes(ou.certificatePem));
  return message;
}

/** Throws ConfigError below `path` ('Channel/Application/Org1/MSP'). */
export function decodeMsp(
  path: string,
  group: string,
  kind: 'orderer' | 'application',
  bytes: Uint8Array,
): MspConfig {
  const wrapper = parseProto(path, proto.MSPConfig, bytes);
  if (wrapper.getType() !== FABRIC_TYPE) {
    throw new ConfigError(path, `MSP type ${wrapper.getType()}; only 0 (X.509) is supported`);
  }
  const config = parseProto(
    path,
    proto.FabricMSPConfig,
    wrapper.getConfig_asU8(),
    WIRE_SHAPES.fabricMspConfig,
  );
  if (config.getName() === '') throw new ConfigError(path, 'name is empty');
  const hash = config.getCryptoConfig()?.getIdentityIdentifierHashFunction() ?? 'SHA256';
  if (hash !== 'SHA256' && hash !== '') {
    throw new ConfigError(path, `identity identifier hash ${hash}; only SHA256 is supported`);
  }
  const pems = (name: string, list: readonly Uint8Array[]): string[] => {
    if (list.length > CONFIG_LIMITS.certificatesMax) {
      throw new ConfigError(`${path}/${name}`, `more than ${CONFIG_LIMITS.certificatesMax}`);
    }
    return list.map((item, index) => utf8(`${path}/${name}[${index}]`, item));
  };
  const rootCertsPem = pems('root_certs', config.getRootCertsList_asU8());
  if (rootCertsPem.length === 0) throw new ConfigError(`${path}/root_certs`, 'must not be empty');
  return {
    mspId: config.getName(),
    group,
    kind,
    rootCertsPem,
    intermediateCertsPem: pems('intermediate_certs', config.getIntermediateCertsList_asU8()),
    adminsPem: pems('admins', config.getAdminsList_asU8()),
    revokedPem: pems('revocation_list', config.getRevocationListList_asU8()),
    tlsRootCertsPem: pems('tls_root_certs', config.getTlsRootCertsList_asU8()),
    tlsIntermediateCertsPem: pems(
      'tls_intermediate_certs',
      config.getTlsIntermediateCertsList_asU8(),
    ),
    nodeOus: decodeNodeOus(path, config.getFabricNodeOus()),
    organizationalUnits: config
      .getOrganizationalUnitIdentifiersList()
      .map((item) => decodeOu(`${path}/organizational_unit_identifiers`, item)),
  };
}

function decodeNodeOus(path: string, message: FabricNodeOUs | undefined): NodeOus | undefined {
  if (message === undefined || !message.getEnable()) return undefined;
  const at = `${path}/fabric_node_ous`;
  const read = (name: string, ou: FabricOUIdentifier | undefined): NodeOu | undefined =>
    ou === undefined ? undefined : decodeOu(`${at}/${name}`, ou);
  return {
    client: read('client', message.getClientOuIdentifier()),
    peer: read('peer', message.getPeerOuIdentifier()),
    admin: read('admin', message.getAdminOuIdentifier()),
    orderer: read('orderer', message.getOrdererOuIdentifier()),
  };
}

function decodeOu(path: string, message: FabricOUIdentifier): NodeOu {
  const unit = message.getOrganizationalUnitIdentifier();
  if (unit === '') throw new ConfigError(path, 'organizational unit is empty');
  const certificate = message.getCertificate_asU8();
  return {
    unit,
    certificatePem: certificate.length === 0 ? undefined : utf8(path, certificate),
  };
}
