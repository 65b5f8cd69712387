import { WrongValue } from './setting-kinds.ts';

/** The host names that requests may have: `tidings.example.com`, `*.example.com`, an address. `*` allows every name. */
export type AllowedHosts = '*' | readonly string[];

const NAME = /^(?:\*\.)?[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?$|^\[[0-9a-f:.]+\]$/;

/** Reads `*` or names, separated by commas; undefined for none. Throws `WrongValue`. */
export function readAllowedHosts(text: string): AllowedHosts | undefined {
  if (text === '*') return '*';
  const names = text.split(',').map((part) => part.trim().toLowerCase()).filter((part) => part !== '').map((part) => {
    if (NAME.test(part)) return part;
    const meant = URL.parse(part.includes('://') ? part : `http://${part}`)?.hostname;
    throw new WrongValue(`${JSON.stringify(part)} is not a host name${meant !== undefined && NAME.test(meant) ? ` (${meant} is)` : ''}; it must be * or names such as tidings.example.com, without a port, separated by commas`);
  });
  return names.length === 0 ? undefined : Object.freeze(names);
}
