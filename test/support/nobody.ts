/** Another user of this host, who owns nothing: for tests of what such a one can reach. Becoming one takes root. */
import { chown } from "node:fs/promises";
import { execa, type Options } from "execa";

const id = 65_534;

/** For tests that need another user than the one who runs them. */
export const testAsRoot = process.getuid?.() === 0 ? test : test.skip;

/** Runs a command as that user, with nothing but PATH in its environment beside what is given. Throws when it fails. */
export async function asNobody(
  command: string,
  args: readonly string[],
  options: Options = {},
): Promise<string> {
  const env = { PATH: process.env["PATH"], ...options.env };
  const { stdout } = await execa(command, args, {
    cwd: "/",
    ...options,
    ...{ env, extendEnv: false, uid: id, gid: id, stdin: "ignore", timeout: 120_000 },
  });
  return String(stdout);
}

export const giveToNobody = async (path: string): Promise<void> => await chown(path, id, id);

/** Whether that user owns the process or file. */
export const isNobodys = ({ uid, gid }: { uid: number; gid: number }): boolean => uid === id && gid === id;
