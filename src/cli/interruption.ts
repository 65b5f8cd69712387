/** As a shell tells that a signal ended a command. */
const SIGNAL_EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** Ends a command that goes on for ever in order. A second signal ends the process at once. @returns Listens no more. */
export function onInterruption(end: (exitCode: number) => void): () => void {
  const removals = Object.entries(SIGNAL_EXIT_CODES).map(([signal, code]) => {
    const listener = (): void => end(code);
    process.once(signal, listener);
    return () => process.removeListener(signal, listener);
  });
  return () => removals.forEach((remove) => remove());
}
