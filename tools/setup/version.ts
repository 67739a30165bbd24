/** Version numbers as programs print them. */

/** The first dotted number in a text, such as `1.87.0`. */
export const versionIn = (text: string | undefined): string | undefined =>
  /\d+(?:\.\d+)+/.exec(text ?? "")?.[0];

/** Whether a dotted version is the wanted one or newer; missing parts count as 0. */
export function atLeast(version: string, wanted: string): boolean {
  const [have, want] = [version, wanted].map((text) => text.split(".").map(Number));
  for (let part = 0; part < want!.length; part++) {
    const difference = (have![part] ?? 0) - want![part]!;
    if (difference !== 0) return difference > 0;
  }
  return true;
}
