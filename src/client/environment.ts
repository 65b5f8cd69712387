import type { CursorStore } from './api.ts';

/** What a page has and a server has not. */
interface Environment {
  readonly document?: { readonly visibilityState: string } & Pick<EventTarget, 'addEventListener' | 'removeEventListener'>;
  readonly addEventListener?: EventTarget['addEventListener'];
  readonly removeEventListener?: EventTarget['removeEventListener'];
  readonly sessionStorage?: CursorStore;
  readonly localStorage?: CursorStore;
}

export const environment = globalThis as Environment;

/** Calls back when a page may have been without its network: it is seen again, comes back from the cache, or is online. @returns Ends it. */
export function onReturn(listener: (isOnline: boolean) => void): () => void {
  const { document } = environment;
  const online = (): void => listener(true);
  const seen = (): void => {
    if (document?.visibilityState === 'visible') listener(false);
  };
  environment.addEventListener?.('online', online);
  environment.addEventListener?.('pageshow', seen);
  document?.addEventListener('visibilitychange', seen);
  return () => {
    environment.removeEventListener?.('online', online);
    environment.removeEventListener?.('pageshow', seen);
    document?.removeEventListener('visibilitychange', seen);
  };
}
