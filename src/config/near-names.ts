import { isWithin } from '../runtime/wrong-letters.ts';
import { fileVariable } from './secret-file.ts';
import type { Setting } from './setting-kinds.ts';
import { SETTINGS } from './settings.ts';

/** Names up to this length have fewer than two wrong letters; longer ones may have two. */
const ONE_WRONG_MAX_CHARACTERS = 12;
/** In names this short nothing may be wrong but the order of two neighbours: HOSTS and PORT0 are others' variables. */
const SWAPPED_MAX_CHARACTERS = 4;

/** How names end that give their unit, in this program or in others. */
const UNIT = /_?(MS|MILLIS|MILLISECONDS|S|SECS?|SECONDS|MIN|MINUTES|HOURS|DAYS|BYTES|[KMG]I?B|SIZE|COUNT|MESSAGES)$/;

/** Kubernetes sets `<SERVICE>_PORT` to such a value for every service, also for one that is called "tidings". */
const SERVICE_LINK = /^(tcp|udp|sctp):\/\//;

/** Every variable that means something. */
const NAMES = Object.entries<Setting<unknown>>(SETTINGS).flatMap(([name, { secret }]) => (secret ? [name, fileVariable(name)] : [name]));

/**
 * The setting that an unknown name probably means. Four things are tried, in this order. The name differs from a setting's only in case and separators, by
 * `DB` for `DATABASE`, or by `TIDINGS_` before it. It lacks a setting's first word (`JWKS_URL`). It ends in another unit. A few of its letters are wrong.
 * @param value Tells a setting with our prefix from what Kubernetes sets.
 */
export function nearestSetting(name: string, value: string): string | undefined {
  if (NAMES.includes(name)) return undefined;
  const letters = lettersOf(name);
  const own = letters.replace(/^TIDINGS/, '');
  if (own !== letters && SERVICE_LINK.test(value)) return undefined;
  const stem = stemOf(name);
  return NAMES.find((setting) => lettersOf(setting) === own)
    ?? NAMES.find((setting) => name.includes('_') && setting.endsWith(`_${name.toUpperCase()}`))
    ?? NAMES.find((setting) => stem !== undefined && stemOf(setting) === stem)
    ?? NAMES.find((setting) => isNear(lettersOf(setting), letters));
}

function lettersOf(name: string): string {
  return name.toUpperCase().replace(/[^A-Z0-9]/g, '').replace(/^DB/, 'DATABASE');
}

/** The part of a name before its unit. */
function stemOf(name: string): string | undefined {
  const stem = name.toUpperCase().replace(UNIT, '');
  return stem === name.toUpperCase() || stem === '' ? undefined : lettersOf(stem);
}

function isNear(setting: string, name: string): boolean {
  if (!isWithin(setting.length > ONE_WRONG_MAX_CHARACTERS ? 2 : 1, setting, name)) return false;
  return setting.length > SWAPPED_MAX_CHARACTERS || sorted(setting) === sorted(name);
}

function sorted(letters: string): string {
  return letters.split('').toSorted().join('');
}
