/** Longer paths are not repeated in an answer. */
const PATH_MAX_CHARACTERS = 300;

/**
 * Paths that one may have been meant for, likely ones first: without doubled slashes and one at the end, with a first segment in small letters, and with the slashes of a
 * topic percent-encoded.
 */
export function meantPaths(path: string): readonly string[] {
  if (path.length > PATH_MAX_CHARACTERS) return [];
  const [resource = '', ...rest] = path.split('/').filter((segment) => segment !== '');
  const last = rest.at(-1);
  const isRead = last === 'events' || last === 'messages';
  const topic = (isRead ? rest.slice(0, -1) : rest).join('%2F');
  const tidy = ['', resource.toLowerCase(), ...rest].join('/');
  const encoded = ['', resource.toLowerCase(), topic, ...(isRead ? [last] : [])].join('/');
  return [tidy, encoded].filter((one) => one !== path);
}
