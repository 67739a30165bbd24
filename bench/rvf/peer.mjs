/** One sample of the peer. Arguments: the RVF, the image's size in bytes. */
import { createHash } from "node:crypto";
import rvf from "@ruvector/rvf-node";
import { measure } from "../measure.mjs";

const [path, imageBytes] = process.argv.slice(2);

await measure(
  () => {
    const store = rvf.RvfDatabase.openReadonly(path);
    const kernel = store.extractKernel();
    store.close();
    return kernel;
  },
  // It hands out the command line behind the image.
  ({ image }) =>
    createHash("sha256")
      .update(image.subarray(0, Number(imageBytes)))
      .digest("hex"),
);
