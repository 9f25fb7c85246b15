import { createHash, randomBytes } from 'node:crypto';
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

const sha256 = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(bytes).digest());
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
      while (this.#verifications.length > 0) await this.#verifications.shift();
    }
  }
}

function cutBlocks(count: number): CutBlock[] {
  const genesis = { number: 0, previousHash: new Uint8Array(), dataHash: sha256(new Uint8Array()) };
  const builder = new BlockBuilder({ header: genesis, hash: sha256(new Uint8Array([1])) }, sha256);
  return Array.from({ length: count }, (_, i) =>
    builder.build([new Uint8Array(randomBytes(40))], { slot: i + 1, timeMs: 1_000 + i }),
  );
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
    await cluster.deliver((wire) => {
      const message = decodeSignatureMessage(wire.body);
      if (wire.from !== 3 || message.kind !== 'ok' || message.value.kind !== 'signature')
        return wire;
      const signature = message.value.signature.slice();
      signature[5] = (signature[5] ?? 0) ^ 1;
      return { ...wire, body: encodeSignatureMessage({ ...message.value, signature }) };
    });
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
});
