/** As a shell tells that a signal ended a command. */
const SIGNAL_EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

type Signal = keyof typeof SIGNAL_EXIT_CODES;

/** Ends a command in order that would go on. A second signal ends the process at once. @returns Listens no more. */
export function onInterruption(end: (exitCode: number, signal: Signal) => void): () => void {
  const removals = (['SIGINT', 'SIGTERM'] as const).map((signal) => {
    const listener = (): void => end(SIGNAL_EXIT_CODES[signal], signal);
    process.once(signal, listener);
    return () => process.removeListener(signal, listener);
  });
  return () => removals.forEach((remove) => remove());
}
