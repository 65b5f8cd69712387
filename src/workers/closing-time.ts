/** How long the end may take beyond the drain window before the process is killed. */
export const CLOSE_MS = 10_000;
