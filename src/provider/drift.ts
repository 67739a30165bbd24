/** What has become of a VM since the last `up`, in words for whoever runs the next one. */
import { conditionOf, type Condition, type Drift } from "../launcher/index.js";
import { vmsDir } from "../paths.js";
import { nameOf, type Inputs } from "./inputs.js";

const told = new Set<string>();

/** The VM as it is; undefined when it is gone for good. What is wrong with it is told once in each phase. */
export async function observed(id: string, inputs: Partial<Inputs>): Promise<Condition | undefined> {
  const condition = await conditionOf(id);
  const { owner } = inputs;
  // Without an owner it is looked up, and the caller says that there is none.
  const drift = condition ? condition.drift : owner && gone(id);
  const words = drift && `${owner ? nameOf({ owner }) : id}: ${describeDrift(drift)}`;
  if (words !== undefined && !told.has(words)) {
    told.add(words);
    console.log(words);
  }
  return condition;
}

const gone = (id: string): Drift => ({
  what: `${id} is gone, with no record of it in ${vmsDir()}`,
  mend: "anew",
  console: "",
});

function describeDrift({ what, mend, console }: Drift): string {
  const remedy = mend === "anew" ? "starts it anew" : "mends that while it runs";
  const lines = console === "" ? "" : `\nthe console's last lines:\n${console.replace(/^/gm, "  | ")}`;
  return `${what}; \`pulumi up\` ${remedy}${lines}`;
}
