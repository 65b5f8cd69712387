/** The longest lease that there can be: the most that PRESENCE_TTL_SECONDS and PRESENCE_GRACE_SECONDS take. Stops one from before a restart of the machine, which would end much later, from counting. */
const LEASE_MAX_MS = 3_600_000;

/** Milliseconds of the clock that all processes of a machine share and that nobody sets. It begins anew with the machine. */
export function hostMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Whether a lease that ends then, by the host's clock, has not ended. */
export function isRunning(ends: number, now: number): boolean {
  return ends > now && ends <= now + LEASE_MAX_MS;
}
