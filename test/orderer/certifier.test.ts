import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import {
  ed25519KeyPair,
  signEd25519,
  verifyEd25519Strict,
} from '../../consensus/runtime/ed25519.ts';
import { type ConsenterKey, checkCertificate } from '../../ledger/format/index.ts';
import { BlockBuilder, type CutBlock } from '../../orderer/chain/block-builder.ts';
import { Certifier } from '../../orderer/chain/certifier.ts';
import {
  decodeSignatureMessage,
  encodeSignatureMessage,
} from '../../orderer/chain/signature-message.ts';
import { verifySignature } from '../../orderer/signature/index.ts';
import { sha256 } from '../support/hash.ts';

const seeds = [1, 2, 3, 4].map((byte) => new Uint8Array(32).fill(byte));
const consenters: ConsenterKey[] = seeds.map((seed, index) => ({
  number: index + 1,
  algorithm: 'ed25519',
  publicKey: ed25519KeyPair(seed).publicKey,
}));

interface Node {
  readonly certifier: Certifier;
  readonly certified: Map<number, Uint8Array>;
  readonly faults: string[];
}

interface Wire {
  readonly from: number;
  readonly to: number | undefined;
  readonly body: Uint8Array;
}

/** Four certifiers; messages wait in `wires` until delivered. */
class Cluster {
  readonly wires: Wire[] = [];
  verified = 0;
  readonly #verifications: Promise<unknown>[] = [];
  readonly nodes: Node[];

  constructor() {
    this.nodes = seeds.map((seed, self) => this.#createNode(seed, self));
  }

  #createNode(seed: Uint8Array, self: number): Node {
    const certified = new Map<number, Uint8Array>();
    const faults: string[] = [];
    const certifier = new Certifier(
      { self, consenters, sign: (message) => signEd25519(seed, message) },
      1,
      {
        pool: {
          verify: (items) => {
            const verdicts = Promise.resolve(
              items.map((item) => verifySignature(item.key, item.message, item.signature)),
            );
            this.#verifications.push(verdicts);
            return verdicts;
          },
        },
        send: (body, to) => this.wires.push({ from: self, to, body }),
        onCertified: (number, metadata) => certified.set(number, metadata),
        certificate: async (number) => certified.get(number),
        onFault: (peer, reason) => faults.push(`${peer}: ${reason}`),
      },
    );
    return { certifier, certified, faults };
  }

  async deliver(change: (wire: Wire) => Wire | undefined = (wire) => wire): Promise<void> {
    for (let wire = this.wires.shift(); wire !== undefined; wire = this.wires.shift()) {
      const changed = change(wire);
      if (changed === undefined) continue;
      for (const [index, node] of this.nodes.entries()) {
        if (index === changed.from || (changed.to !== undefined && changed.to !== index)) continue;
        node.certifier.onMessage(changed.from, changed.body);
      }
      while (this.#verifications.length > 0) {
        this.verified++;
        await this.#verifications.shift();
      }
      // Certificates are read from the ledger, so answers take a turn.
      if (this.wires.length === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

function cutBlocks(count: number): CutBlock[] {
  const builder = new BlockBuilder({ height: 1, tipHash: sha256(new Uint8Array([1])) }, sha256);
  return Array.from({ length: count }, (_, i) =>
    builder.build([new Uint8Array(randomBytes(40))], { slot: i + 1, timeMs: 1_000 + i }),
  );
}

/** With another signature, when it carries one. */
function forged(wire: Wire): Wire {
  const message = decodeSignatureMessage(wire.body);
  if (message.kind !== 'ok' || message.value.kind !== 'signature') return wire;
  const signature = message.value.signature.slice();
  signature[5] = (signature[5] ?? 0) ^ 1;
  return { ...wire, body: encodeSignatureMessage({ ...message.value, signature }) };
}

async function isCertificateValid(block: CutBlock, metadata: Uint8Array): Promise<boolean> {
  const check = await checkCertificate(
    { header: block.block.header, metadata: [metadata, ...block.block.metadata.slice(1)] },
    consenters,
    (key, message, signature) => verifyEd25519Strict(key.publicKey, message, signature),
  );
  return check.kind === 'ok';
}

describe('certifier', () => {
  it('makes a certificate that checks once q replicas have stored the block', async () => {
    const cluster = new Cluster();
    const [block] = cutBlocks(1) as [CutBlock];
    for (const node of cluster.nodes.slice(0, 2)) node.certifier.onStored(block);
    await cluster.deliver();
    expect(cluster.nodes[0]?.certified.size).to.equal(0);
    cluster.nodes[2]?.certifier.onStored(block);
    await cluster.deliver();
    for (const node of cluster.nodes.slice(0, 3)) {
      expect(await isCertificateValid(block, node.certified.get(1) as Uint8Array)).to.equal(true);
    }
    expect(cluster.nodes[3]?.certified.size).to.equal(0);
  });

  it('keeps signatures that come before the block', async () => {
    const cluster = new Cluster();
    const [block] = cutBlocks(1) as [CutBlock];
    for (const node of cluster.nodes.slice(0, 3)) node.certifier.onStored(block);
    await cluster.deliver();
    cluster.nodes[3]?.certifier.onStored(block);
    await cluster.deliver();
    expect(cluster.nodes[3]?.certified.size).to.equal(1);
  });

  it('verifies no more signatures than a quorum needs, and another for each that is bad', async () => {
    for (const forgers of [[], [1], [1, 2]]) {
      const cluster = new Cluster();
      const [block] = cutBlocks(1) as [CutBlock];
      for (const node of cluster.nodes.slice(1)) node.certifier.onStored(block);
      // All of them come before the block, to the one that has not stored it.
      await cluster.deliver((wire) => ({
        ...(forgers.includes(wire.from) ? forged(wire) : wire),
        to: 0,
      }));
      expect(cluster.verified).to.equal(0);
      cluster.nodes[0]?.certifier.onStored(block);
      await cluster.deliver((wire) => ({ ...wire, to: 0 }));
      expect(cluster.verified).to.equal(forgers.length === 0 ? 2 : 3);
      expect(cluster.nodes[0]?.faults).to.have.length(forgers.length);
      expect(cluster.nodes[0]?.certified.size).to.equal(forgers.length < 2 ? 1 : 0);
    }
  });

  it('asks again for signatures that were lost', async () => {
    const cluster = new Cluster();
    const [first, second] = cutBlocks(2) as [CutBlock, CutBlock];
    for (const node of cluster.nodes) node.certifier.onStored(first);
    await cluster.deliver(() => undefined);
    expect(cluster.nodes[0]?.certified.size).to.equal(0);
    for (const node of cluster.nodes) node.certifier.onStored(second);
    await cluster.deliver();
    expect([...(cluster.nodes[0]?.certified.keys() ?? [])]).to.deep.equal([2]);
    for (const node of cluster.nodes) node.certifier.requestMissing();
    await cluster.deliver();
    for (const node of cluster.nodes) {
      expect([...node.certified.keys()].sort()).to.deep.equal([1, 2]);
    }
  });

  it('refuses a signature that does not verify and goes on without it', async () => {
    const cluster = new Cluster();
    const [block] = cutBlocks(1) as [CutBlock];
    // The forger's signature comes before there are enough honest ones to do without it.
    for (const node of [...cluster.nodes].reverse()) node.certifier.onStored(block);
    await cluster.deliver((wire) => (wire.from === 3 ? forged(wire) : wire));
    expect(cluster.nodes[0]?.faults).to.deep.equal(['3: its signature of block 1 does not verify']);
    const metadata = cluster.nodes[0]?.certified.get(1) as Uint8Array;
    expect(await isCertificateValid(block, metadata)).to.equal(true);
  });

  it('reports a replica that signs another header', async () => {
    const cluster = new Cluster();
    const [block] = cutBlocks(1) as [CutBlock];
    const [other] = cutBlocks(1) as [CutBlock];
    cluster.nodes[3]?.certifier.onStored(other);
    for (const node of cluster.nodes.slice(0, 3)) node.certifier.onStored(block);
    await cluster.deliver();
    expect(cluster.nodes[0]?.faults).to.deep.equal(['3: signed another header of block 1']);
    expect(cluster.nodes[0]?.certified.size).to.equal(1);
    expect(cluster.nodes[3]?.certified.size).to.equal(0);
  });

  it('certifies what was signed while it was away, however much', async () => {
    const cluster = new Cluster();
    const blocks = cutBlocks(600);
    for (const block of blocks) {
      for (const node of cluster.nodes.slice(0, 3)) node.certifier.onStored(block);
    }
    await cluster.deliver((wire) => (wire.to === undefined ? wire : undefined));
    expect(cluster.nodes[0]?.certified.size).to.equal(600);
    const late = cluster.nodes[3] as Node;
    // What came while it was behind lies too far ahead to be kept.
    for (const block of blocks) late.certifier.onStored(block);
    await cluster.deliver((wire) => (wire.from === 3 ? undefined : wire));
    late.certifier.requestMissing();
    await cluster.deliver();
    expect(late.certified.size).to.equal(600);
    for (const number of [1, 300, 600]) {
      const block = blocks[number - 1] as CutBlock;
      expect(await isCertificateValid(block, late.certified.get(number) as Uint8Array)).to.equal(
        true,
      );
    }
  });

  it('believes no certificate that it has not verified, and asks a forger no more', async () => {
    const cluster = new Cluster();
    const [block] = cutBlocks(1) as [CutBlock];
    for (const node of cluster.nodes.slice(0, 3)) node.certifier.onStored(block);
    await cluster.deliver();
    const metadata = Uint8Array.from(cluster.nodes[0]?.certified.get(1) ?? []);
    metadata[metadata.length - 1] = (metadata[metadata.length - 1] ?? 0) ^ 1;
    const late = cluster.nodes[3] as Node;
    const alone = new Cluster().nodes[3] as Node;
    alone.certifier.onStored(block);
    const forged = encodeSignatureMessage({ kind: 'certificate', blockNumber: 1, metadata });
    for (let i = 0; i < 3; i++) {
      alone.certifier.onMessage(1, forged);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(alone.certified.size).to.equal(0);
    expect(alone.faults).to.have.length(1);
    late.certifier.onStored(block);
    late.certifier.requestMissing();
    await cluster.deliver();
    expect(late.certified.size).to.equal(1);
  });

  it('verifies one signature of a block for each replica, however many come', async () => {
    const cluster = new Cluster();
    const [block] = cutBlocks(1) as [CutBlock];
    const node = cluster.nodes[0] as Node;
    node.certifier.onStored(block);
    const bad = encodeSignatureMessage({
      kind: 'signature',
      blockNumber: 1,
      headerHash: block.headerHash,
      nonce: new Uint8Array(24),
      signature: new Uint8Array(64),
    });
    for (let i = 0; i < 100; i++) node.certifier.onMessage(1, bad);
    await cluster.deliver();
    expect(cluster.verified).to.equal(1);
    expect(node.faults).to.have.length(1);
  });
});
