import { isWithin } from '../runtime/wrong-letters.ts';
import { fileVariable } from './secret-file.ts';
import type { Setting } from './setting-kinds.ts';
import { SETTINGS } from './settings.ts';

/** Names up to this length may have one wrong letter; longer names may have two. */
const ONE_WRONG_MAX_CHARACTERS = 12;
/** In names up to this length, only two neighbours may be swapped: HOSTS and PORT0 are variables of other programs. */
const SWAPPED_MAX_CHARACTERS = 4;

/** The units at the end of names, in this program or in others. */
const UNIT = /_?(MS|MILLIS|MILLISECONDS|S|SECS?|SECONDS|MIN|MINUTES|HOURS|DAYS|BYTES|[KMG]I?B|SIZE|COUNT|MESSAGES)$/;

/** Kubernetes sets `<SERVICE>_PORT` to such a value for every service. So a service named "tidings" gets `TIDINGS_PORT`. */
const SERVICE_LINK = /^(tcp|udp|sctp):\/\//;

/** All variables that this program reads. */
const NAMES = Object.entries<Setting<unknown>>(SETTINGS).flatMap(([name, { secret }]) => (secret ? [name, fileVariable(name)] : [name]));

/**
 * Returns the setting that an unknown name probably means. It tries these mistakes, in this order:
 *
 * 1. other case or separators, `DB` for `DATABASE`, or `TIDINGS_` before the name;
 * 2. a missing first word: `JWKS_URL` for `JWT_JWKS_URL`;
 * 3. another unit at the end;
 * 4. a few wrong letters.
 *
 * @param value The variable's value, which shows whether Kubernetes set it.
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
