/** Passes on the first line and then one every 15 seconds: compilers say thousands. */
export function nowAndThen(
  tell: ((text: string) => void) | undefined,
  everyMs = 15_000,
): (text: string) => void {
  let last = -Infinity;
  return (text) => {
    const now = performance.now();
    if (now - last < everyMs) return;
    last = now;
    tell?.(text);
  };
}
