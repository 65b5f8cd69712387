import { useEffect, useState } from 'preact/hooks';

/** Where the person is: every view lives behind `#`, because paths are the API's. */
export interface Route {
  readonly view: string;
  /** What the view is about. */
  readonly subject: string | undefined;
  readonly query: URLSearchParams;
}

export function readRoute(hash: string): Route {
  const [path = '', search = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [view = '', subject] = path.split('/', 2);
  return { view, subject: subject === undefined || subject === '' ? undefined : decoded(subject), query: new URLSearchParams(search) };
}

/** A link that somebody has cut is shown as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return text;
    throw error;
  }
}

export function href(view: string, subject?: string, parameters: Readonly<Record<string, string>> = {}): string {
  const search = new URLSearchParams(parameters).toString();
  return `#/${view}${subject === undefined ? '' : `/${encodeURIComponent(subject)}`}${search === '' ? '' : `?${search}`}`;
}

export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = (): void => setHash(location.hash);
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return readRoute(hash);
}
