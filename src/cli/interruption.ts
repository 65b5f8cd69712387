/** 128 and the number of the signal, as shells report it. */
const SIGNAL_EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

type Signal = keyof typeof SIGNAL_EXIT_CODES;

/** Calls `end` on the first SIGINT or SIGTERM, so that a command can end in order. A second signal of the kind ends the process at once. @returns A function that removes the listeners. */
export function onInterruption(end: (exitCode: number, signal: Signal) => void): () => void {
  const removals = (['SIGINT', 'SIGTERM'] as const).map((signal) => {
    const listener = (): void => end(SIGNAL_EXIT_CODES[signal], signal);
    process.once(signal, listener);
    return () => process.removeListener(signal, listener);
  });
  return () => removals.forEach((remove) => remove());
}
