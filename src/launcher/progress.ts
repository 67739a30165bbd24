/** How whoever waits for an operation is told of it, and calls it off. */
export interface Progress {
  /** Called with one short line for each step; for news, too, which are worth knowing when the step is over. */
  onProgress?: ((text: string, weight?: "news") => void) | undefined;
  signal?: AbortSignal | undefined;
}
