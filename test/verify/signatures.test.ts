import { expect } from 'chai';
import { publicKeyOf, sign } from '../../api/client/index.ts';
import {
  createInlineVerifier,
  type SignatureJob,
  VerifierPool,
} from '../../scripts/verify/signatures.ts';

const PUBLIC_KEY = publicKeyOf({
  algorithm: 'ed25519',
  secret: new Uint8Array(32).fill(7),
}).bytes;

function jobOf(index: number, valid: boolean): SignatureJob {
  const secret = new Uint8Array(32).fill(7);
  const key = { algorithm: 'ed25519', secret } as const;
  const message = new Uint8Array([index, index >> 8]);
  const signature = sign(key, valid ? message : new Uint8Array(3));
  return { key: { algorithm: 'ed25519', publicKey: PUBLIC_KEY }, message, signature };
}

describe('auditor: signature workers', () => {
  it('answer each job as this thread does', async () => {
    const pool = new VerifierPool(2);
    try {
      const jobs = Array.from({ length: 90 }, (_, index) => jobOf(index, index % 3 !== 0));
      const answers = await Promise.all(jobs.map((job) => pool.verify(job)));
      expect(answers).to.deep.equal(jobs.map((_, index) => index % 3 !== 0));
      expect(pool.checked).to.equal(90);
      await pool.ready();
      const inline = createInlineVerifier();
      expect(await inline.verify(jobs[0] as SignatureJob)).to.equal(false);
      expect(await inline.verify(jobs[1] as SignatureJob)).to.equal(true);
    } finally {
      await pool.close();
    }
  });

  it('leave nobody waiting when they are closed', async () => {
    const pool = new VerifierPool(1);
    const waiting = Promise.allSettled(
      Array.from({ length: 50 }, (_, index) => pool.verify(jobOf(index, true))),
    );
    await pool.close();
    const states = (await waiting).map(({ status }) => status);
    expect(states).to.include('rejected');
    expect(states).to.have.length(50);
    await pool.ready();
    let late: unknown;
    await pool.verify(jobOf(1, true)).catch((error: unknown) => {
      late = error;
    });
    expect(late).to.be.instanceOf(Error);
  });
});
