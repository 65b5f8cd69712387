/** Longer paths are not repeated in an answer. */
const PATH_MAX_CHARACTERS = 300;

/** Paths of hooks may have a secret, and senders of webhooks log the answers. So no answer repeats such a path. */
const SECRET_RESOURCES = new Set(['hook', 'hooks']);

/**
 * Paths for which a path may have been meant, likely ones first. They have no empty segments, and their first segment is in small letters. In the second, the slashes of a
 * topic are percent-encoded.
 */
export function meantPaths(path: string): readonly string[] {
  if (path.length > PATH_MAX_CHARACTERS) return [];
  const [resource = '', ...rest] = path.split('/').filter((segment) => segment !== '');
  if (SECRET_RESOURCES.has(resource.toLowerCase())) return [];
  const last = rest.at(-1);
  const isRead = last === 'events' || last === 'messages';
  const topic = (isRead ? rest.slice(0, -1) : rest).join('%2F');
  const tidy = ['', resource.toLowerCase(), ...rest].join('/');
  const encoded = ['', resource.toLowerCase(), topic, ...(isRead ? [last] : [])].join('/');
  return [tidy, encoded].filter((one) => one !== path);
}
