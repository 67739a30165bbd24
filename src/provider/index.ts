/**
 * The Pulumi provider: what the engine's plugin imports as `pulumi-microvm/provider` by the text in the state. One file
 * an operation; all work is the launcher's.
 */
import { check as checkInputs } from "./check.js";
import { create as createResource } from "./create.js";
import { remove as removeResource } from "./delete.js";
import { diff as diffResource } from "./diff.js";
import { read as readResource } from "./read.js";
import { update as updateResource } from "./update.js";
import { speaking } from "./words.js";

export const check = speaking(checkInputs);
export const diff = speaking(diffResource);
export const create = speaking(createResource);
export const read = speaking(readResource);
export const update = speaking(updateResource);
export const remove = speaking(removeResource);
