/** Signals that end the service in order. A terminal and systemd send them to every process of it, so a worker takes the first one from any sender. */
export const ENDING_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const;

export type EndingSignal = (typeof ENDING_SIGNALS)[number];

export function isEnding(signal: string | undefined): signal is EndingSignal {
  return ENDING_SIGNALS.some((one) => one === signal);
}
