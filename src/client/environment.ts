import type { CursorStore } from './api.ts';

/** Web Locks, as much of them as is used. */
export interface LockManager {
  request(name: string, options: { readonly signal?: AbortSignal; readonly steal?: boolean }, held: () => Promise<void> | undefined): Promise<void>;
}

/** `BroadcastChannel`, as much of it as is used. */
export interface Channel {
  addEventListener(name: 'message', listener: (event: { readonly type: string; readonly data?: unknown }) => void): void;
  postMessage(message: unknown): void;
  close(): void;
}

export type ChannelConstructor = new (name: string) => Channel;

/** What a page has and a server has not. */
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

/** Calls back when a page may have been without its network: it is seen again, comes back from the cache, or is online. @returns Ends it. */
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
