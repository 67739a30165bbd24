import * as pulumi from "@pulumi/pulumi";
import { Fleet } from "./fleet";

const config = new pulumi.Config();

const shop = new Fleet("shop", {
  rvfPath: config.require("rvfPath"),
  size: config.getNumber("size") ?? 3,
  port: config.getNumber("port"),
});

export const url = shop.url;
export const members = shop.members.map((member) => member.url);
