// Each content of the RVF is a VM of its own, named by the content. When the file changes, `pulumi up` boots the new VM beside the old
// one, then points the front at it, and removes the old one last. When the new one does not come up, `up` fails before the
// front changes, and the old VM goes on serving.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import { FrontProxy } from "microvm-example-front-proxy";
import { MicroVm } from "pulumi-microvm";

const config = new pulumi.Config();
const rvfPath = config.require("rvfPath");
const release = createHash("sha256").update(readFileSync(rvfPath)).digest("hex").slice(0, 8);

const db = new MicroVm(`db-${release}`, { rvfPath, apiPort: 0 });
const front = new FrontProxy("front", { backends: [db.url], port: config.getNumber("port") });

export const url = front.url;
export const serving = release;
