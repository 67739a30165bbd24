import * as pulumi from "@pulumi/pulumi";
import { MicroVm } from "pulumi-microvm";

const config = new pulumi.Config();

const db = new MicroVm("db", {
  rvfPath: config.require("rvfPath"),
  memoryMb: config.getNumber("memoryMb") ?? 256,
  apiPort: config.getNumber("apiPort"),
});

export const vmId = db.vmId;
export const url = db.url;
export const status = db.status;
export const accelerator = pulumi.interpolate`${db.accelerator} (${db.acceleratorReason})`;
export const bootMillis = db.bootMillis;
