// Several VMs of one RVF behind a front proxy, as one component.
import * as pulumi from "@pulumi/pulumi";
import { FrontProxy } from "microvm-example-front-proxy";
import { MicroVm } from "pulumi-microvm";

export interface FleetArgs {
  rvfPath: pulumi.Input<string>;
  /** How many VMs. */
  size: number;
  memoryMb?: pulumi.Input<number>;
  /** Port of the front. @default a free one */
  port?: number;
}

export class Fleet extends pulumi.ComponentResource {
  /** The one address for clients: a VM that is down is passed over. */
  readonly url: pulumi.Output<string>;
  readonly members: MicroVm[];

  constructor(
    name: string,
    { rvfPath, size, memoryMb, port }: FleetArgs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super("microvm-examples:index:Fleet", name, {}, opts);
    // All are declared at once; the launcher boots as many at a time as this host has processors and memory for.
    this.members = Array.from(
      { length: size },
      (_, i) => new MicroVm(`${name}-${i}`, { rvfPath, memoryMb, apiPort: 0 }, { parent: this }),
    );
    const backends = this.members.map(({ url }) => url);
    const front = new FrontProxy(`${name}-front`, { backends, port }, { parent: this });
    this.url = front.url;
    this.registerOutputs({ url: this.url });
  }
}
