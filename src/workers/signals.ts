/** Signals that end the service gracefully. A terminal and systemd send them to every process, so a worker obeys the first signal from any sender. */
export const ENDING_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const;

export type EndingSignal = (typeof ENDING_SIGNALS)[number];

export function isEnding(signal: string | undefined): signal is EndingSignal {
  return ENDING_SIGNALS.some((ending) => ending === signal);
}
