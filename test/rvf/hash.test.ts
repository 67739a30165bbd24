import { fold } from "../../src/rvf/fold.js";
import { crc32Rotations, sha3, shake256, xxh3, type Hasher } from "../../src/rvf/hash.js";
import * as build from "./build.js";

const counted = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, index) => index % 251));

const digest = (hasher: Hasher, input: Buffer, pieceBytes: number): string => {
  for (let at = 0; at < input.length; at += pieceBytes) hasher.update(input.subarray(at, at + pieceBytes));
  return hasher.digest().toString("hex");
};

const vectors: [string, Buffer, string, string, string][] = [
  [
    "nothing",
    Buffer.alloc(0),
    "7f498d4624c30160d8984701d306aa99",
    "46b9dd2b0ba88d13233b3feb743eeb24",
    "00000000000000000000000000000000",
  ],
  [
    "123456789",
    Buffer.from("123456789"),
    "60581d68276471e9d5dce5ed77941133",
    "24347b9c4b6da2fc9cde08c87f33edd2",
    "2639f4cbcb2639f4f4cb263939f4cb26",
  ],
  [
    "17 bytes",
    counted(17),
    "179272f73d236ec07f057db358c45b68",
    "160bb0184ba68ad3c5ac0bfaf1b1d5be",
    "193a182c2c193a18182c193a3a182c19",
  ],
  [
    "200 bytes",
    counted(200),
    "f5d90936afe997dd0eba4306319503cb",
    "4ee1ca03272b05d3bfb1e1c79a967f82",
    "806108eded80610808ed80616108ed80",
  ],
  [
    "1000 bytes",
    counted(1000),
    "d10eb2b23f70ef3377e22982bc41bf18",
    "34833f03ed88bb5f083ce590c7ae5af9",
    "a646177272a646171772a646461772a6",
  ],
];

describe.each([1, 7, 4096])("hashes in pieces of %d bytes", (pieceBytes) => {
  test.each(vectors)("of %s", async (_, input, expectedXxh3, expectedShake, expectedCrc) => {
    expect(digest(await xxh3(), input, pieceBytes)).toBe(expectedXxh3);
    expect(digest(shake256(128), input, pieceBytes)).toBe(expectedShake);
    expect(digest(crc32Rotations(), input, pieceBytes)).toBe(expectedCrc);
    expect(digest(fold(), input, pieceBytes)).toBe(build.fold(input).toString("hex"));
  });
});

test("SHA3-256 and SHAKE-256-256 of nothing are the standard's", () => {
  expect(digest(sha3(), Buffer.alloc(0), 1)).toBe(
    "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a",
  );
  expect(digest(shake256(256), Buffer.alloc(0), 1)).toBe(
    "46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f",
  );
});
