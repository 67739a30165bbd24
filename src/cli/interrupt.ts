/** Aborts at Ctrl-C and where the terminal is closed, so that a command can clean up before it ends. */
export function interruptSignal(): AbortSignal {
  const interrupt = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, () => interrupt.abort());
  return interrupt.signal;
}
