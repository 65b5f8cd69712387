import { WrongValue } from './setting-kinds.ts';

/** The origins whose pages may read and publish; `*` allows all. */
export type Origins = '*' | readonly string[];

/** Origins of apps and browser extensions. URL parsers do not know their schemes: `capacitor://localhost`, `tauri://localhost`, `chrome-extension://<id>`. */
const APP_ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9][a-z0-9._-]*(?::[0-9]{1,5})?$/;

/** Schemes that no page's origin has, or whose origin is `null`. */
const NO_ORIGIN = /^(?:ftp|wss?|file|data|blob|about|javascript):/;

/** Reads `*` or origins, separated by commas. Throws `WrongValue`. */
export function readOrigins(text: string): Origins {
  if (text === '*') return '*';
  return Object.freeze(text.split(',').map((part) => part.trim()).filter((part) => part !== '').map((origin) => {
    const url = URL.parse(origin);
    const isWeb = url !== null && /^https?:$/.test(url.protocol);
    const meant = isWeb && !url.hostname.includes('*') ? url.origin : undefined;
    if (meant === origin || (!isWeb && APP_ORIGIN.test(origin) && !NO_ORIGIN.test(origin))) return origin;
    throw new WrongValue(`${JSON.stringify(origin)} is not an origin${meant === undefined ? '' : ` (${meant} is)`}; it must be * or origins such as https://app.example.com, separated by commas`);
  }));
}
