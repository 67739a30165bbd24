/** How a run of the command came out. */
export interface Outcome {
  status: number | undefined;
  /** Without the last line end, as `stderr`. */
  stdout: string;
  stderr: string;
}

/** The error document on the last line of stderr. */
export function errorIn({ stderr }: Outcome): { code: string; message: string; hint?: string } {
  const { error } = JSON.parse(stderr.split("\n").at(-1)!) as { error: { code: string; message: string } };
  return error;
}
