import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** The longest lease that there can be: the most that PRESENCE_TTL_SECONDS and PRESENCE_GRACE_SECONDS take. Stops a lease from before a restart of the machine from counting. */
const LEASE_MAX_MS = 3_600_000;

/** Where the clocks of boots begin: some 30 years. With the uptime it stays within what file systems keep as a time. */
const BOOT_RANGE_MS = 1_000_000_000_000;

/** How many bytes of a digest make a number without loss. */
const NUMBER_BYTES = 6;

/** Names this boot of the machine, for its containers too. */
const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

const boot = bootOffsetMs(bootId());

/** Milliseconds of the clock that all processes of a machine share and that nobody sets. Each boot has a place of its own: what an earlier one wrote has ended, or is too far away. */
export function hostMs(): number {
  return boot + Number(process.hrtime.bigint()) / 1e6;
}

/** Whether a lease that ends then, by the host's clock, has not ended. */
export function isRunning(ends: number, now: number): boolean {
  return ends > now && ends <= now + LEASE_MAX_MS;
}

/** Where the clock of a boot begins. Whole seconds. */
export function bootOffsetMs(id: string): number {
  const seconds = BOOT_RANGE_MS / 1000;
  return id === '' ? 0 : (createHash('sha256').update(id).digest().readUIntBE(0, NUMBER_BYTES) % seconds) * 1000;
}

/** Empty where the system has none: there, a lease from before a restart may count for a while. */
function bootId(): string {
  try {
    return readFileSync(BOOT_ID_FILE, 'utf8').trim();
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) return '';
    throw error;
  }
}
