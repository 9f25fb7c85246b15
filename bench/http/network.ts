/** A whole network under load: real replicas, each a process, on this machine. */
import { Slab } from '../../rdma/memory/slab.ts';
import { signerOf } from '../../test/load/scenario.ts';
import { TestNetwork, type TestNetworkOptions } from '../../test/support/network.ts';
import { cpuSeconds, residentBytes } from '../../test/support/process-stats.ts';
import { SubmitClient } from './client.ts';
import type { LoadResult } from './load.ts';

const MIB = 1024 ** 2;

export interface LoadFigures extends LoadResult {
  /** Of a living replica, on the average. */
  readonly replicaCpuUsPerTransaction: number;
  /** The largest of all living replicas since they were started. */
  readonly residentMiBPeak: number;
}

export class LoadedNetwork {
  readonly network: TestNetwork;
  readonly client: SubmitClient;
  readonly #dead = new Set<number>();
  #signed = 0;

  private constructor(network: TestNetwork) {
    this.network = network;
    this.client = new SubmitClient(network.urls, network.created.config.channel);
  }

  static async start(options: TestNetworkOptions): Promise<LoadedNetwork> {
    const network = await TestNetwork.create(options);
    try {
      await network.start();
    } catch (error) {
      await network.destroy();
      throw error;
    }
    return new LoadedNetwork(network);
  }

  /**
   * Signed before the clock starts: signing is not what is measured. Several share an array: the load generator shares the machine, and its
   * collector would look after an array for each all the while.
   */
  presign(count: number, payloadBytes: number, channel?: string): Uint8Array[] {
    const signer = signerOf(this.network, channel);
    const slab = new Slab();
    return Array.from({ length: count }, () => {
      const data = new Uint8Array(payloadBytes);
      new DataView(data.buffer).setUint32(0, this.#signed++);
      const envelope = signer.wrap(data);
      return slab.copy(envelope, 0, envelope.length);
    });
  }

  /** For another channel than the first. */
  clientOf(channel: string): SubmitClient {
    return new SubmitClient(this.network.urls, channel);
  }

  async kill(number: number): Promise<void> {
    this.#dead.add(number);
    await this.network.kill(number);
  }

  async measure(load: (client: SubmitClient) => Promise<LoadResult>): Promise<LoadFigures> {
    const alive = this.#alive();
    const used = (): number => alive.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
    const before = used();
    const result = await load(this.client);
    const cpuUs = ((used() - before) * 1e6) / alive.length;
    return {
      ...result,
      replicaCpuUsPerTransaction: cpuUs / result.latenciesMs.length,
      residentMiBPeak: Math.max(...alive.map((pid) => residentBytes(pid).peak)) / MIB,
    };
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.network.stop();
    await this.network.destroy();
  }

  #alive(): number[] {
    return this.network.created.replicas
      .filter(({ number }) => !this.#dead.has(number))
      .map(({ number }) => this.network.process(number).pid);
  }
}
