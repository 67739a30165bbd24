// A front proxy as a Pulumi resource: a small Node process of its own (server.mjs) that spreads queries over backends.
import * as pulumi from "@pulumi/pulumi";

interface Inputs {
  backends: string[];
  port: number;
  script: string;
}

interface State extends Inputs {
  file: string;
  url: string;
}

// The functions below run in the engine's plugin, so they bring what they need with them. The proxy follows its file: it reads
// new backends from it and ends when the file is gone, so nobody has to find and signal its process.
const provider: pulumi.dynamic.ResourceProvider<Inputs, State> = {
  async create({ backends, port, script }) {
    const { mkdtemp, readFile, rm, writeFile } = await import("node:fs/promises");
    const { tmpdir } = await import("node:os");
    const { spawn } = await import("node:child_process");
    const { setTimeout: sleep } = await import("node:timers/promises");
    const folder = await mkdtemp(`${tmpdir()}/microvm-front-proxy-`);
    const file = `${folder}/backends.json`;
    await writeFile(file, JSON.stringify(backends));
    spawn(process.execPath, [script, file, String(port)], { detached: true, stdio: "ignore" }).unref();
    for (let tries = 0; tries < 500; tries++) {
      const url = await readFile(`${folder}/url`, "utf8").catch(() => "");
      if (url) return { id: folder, outs: { backends, port, script, file, url } };
      await sleep(20);
    }
    const why = await readFile(`${folder}/error`, "utf8").catch(() => "it says nothing");
    await rm(folder, { recursive: true });
    throw new Error(`the front proxy does not listen on port ${port}: ${why}`);
  },
  async diff(_, olds, news) {
    // One that is gone, as after the host's reboot, is made again.
    const isThere = await fetch(`${olds.url}/backends`).then(
      () => true,
      () => false,
    );
    const replaces = isThere && olds.port === news.port ? [] : ["port"];
    const changes = replaces.length > 0 || JSON.stringify(olds.backends) !== JSON.stringify(news.backends);
    return { changes, replaces, deleteBeforeReplace: true };
  },
  async update(_, olds, news) {
    const { rename, writeFile } = await import("node:fs/promises");
    const { setTimeout: sleep } = await import("node:timers/promises");
    const backends = JSON.stringify(news.backends);
    await writeFile(`${olds.file}.next`, backends);
    await rename(`${olds.file}.next`, olds.file);
    // Backends that are gone from the list may be removed once this returns.
    for (let tries = 0; tries < 500; tries++) {
      if ((await (await fetch(`${olds.url}/backends`)).text()) === backends)
        return { outs: { ...olds, ...news } };
      await sleep(20);
    }
    throw new Error("the front proxy does not take its new backends");
  },
  async delete(folder) {
    const { rm } = await import("node:fs/promises");
    await rm(folder, { recursive: true, force: true });
  },
};

export interface FrontProxyArgs {
  /** Bases of the backends' APIs, asked in turn; one that fails is passed over. */
  backends: pulumi.Input<pulumi.Input<string>[]>;
  /** Port on 127.0.0.1. @default a free one */
  port?: pulumi.Input<number>;
}

export class FrontProxy extends pulumi.dynamic.Resource {
  /** Where it listens. */
  declare readonly url: pulumi.Output<string>;

  constructor(name: string, { backends, port = 0 }: FrontProxyArgs, opts?: pulumi.CustomResourceOptions) {
    const script = require.resolve("microvm-example-front-proxy/server.mjs");
    super(
      provider,
      name,
      { backends, port, script, file: undefined, url: undefined },
      opts,
      "microvm",
      "FrontProxy",
    );
  }
}
