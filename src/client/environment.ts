import type { CursorStore } from './api.ts';

/** The part of Web Locks that the library uses. */
export interface LockManager {
  request(name: string, options: { readonly signal?: AbortSignal; readonly steal?: boolean }, held: () => Promise<void> | undefined): Promise<void>;
}

/** The part of `BroadcastChannel` that the library uses. */
export interface Channel {
  addEventListener(name: 'message', listener: (event: { readonly type: string; readonly data?: unknown }) => void): void;
  postMessage(message: unknown): void;
  close(): void;
}

export type ChannelConstructor = new (name: string) => Channel;

/** The APIs that browsers have, and servers may lack. */
interface Environment {
  readonly document?: { readonly visibilityState: string } & Pick<EventTarget, 'addEventListener' | 'removeEventListener'>;
  readonly addEventListener?: EventTarget['addEventListener'];
  readonly removeEventListener?: EventTarget['removeEventListener'];
  readonly sessionStorage?: CursorStore;
  readonly localStorage?: CursorStore;
  readonly navigator?: { readonly locks?: LockManager };
  readonly BroadcastChannel?: ChannelConstructor;
}

export const environment = globalThis as Environment;

/**
 * Calls back when the page's connections may be dead: it becomes visible again, is restored from the back/forward cache, or its network is back (`isOnline`).
 * @returns A function that removes the listeners.
 */
export function onReturn(listener: (isOnline: boolean) => void): () => void {
  const { document } = environment;
  const returned = ({ type }: { readonly type: string }): void => {
    if (type === 'online' || document?.visibilityState === 'visible') listener(type === 'online');
  };
  const change = (method: 'addEventListener' | 'removeEventListener'): void => {
    for (const name of ['online', 'pageshow', 'visibilitychange']) environment[method]?.(name, returned);
  };
  change('addEventListener');
  return () => change('removeEventListener');
}
