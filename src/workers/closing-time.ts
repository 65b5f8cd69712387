/** How long the shutdown may take after the drain window. Then the process is killed. */
export const CLOSE_MS = 10_000;
