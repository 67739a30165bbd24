/** One at a time, of questions that several ask at once. */

/**
 * Of calls for one key that come while one is under way, all share the next: there are never two at a time, and each caller gets an
 * answer to a question put after it called.
 */
export function shared<T>(): (key: string, ask: () => Promise<T>) => Promise<T> {
  const running = new Map<string, Promise<T>>();
  const waiting = new Map<string, Promise<T>>();
  return async (key, ask) => {
    const inTurn = async (): Promise<T> => {
      while (running.has(key)) await running.get(key)!.catch(() => {});
      waiting.delete(key);
      const answer = ask();
      running.set(key, answer);
      return await answer.finally(() => running.delete(key));
    };
    const waits = waiting.get(key);
    if (waits !== undefined) return await waits;
    const next = Promise.resolve().then(inTurn);
    waiting.set(key, next);
    return await next;
  };
}
