import type { Position } from './cursor.ts';

/** Where a client asks to begin reading. */
export type StartRequest =
  /** From now on: only what is published later. */
  | { readonly kind: 'now' }
  /** From the oldest message held, without a `$gap`. */
  | { readonly kind: 'start' }
  /** Behind an id; undefined is an id that is none of ours (`$gap`, reason `unknown-log`). */
  | { readonly kind: 'after'; readonly position: Position | undefined }
  /** From a time on: milliseconds since 1970, or so many milliseconds ago by the store's clock. */
  | { readonly kind: 'since'; readonly time: number }
  | { readonly kind: 'ago'; readonly milliseconds: number };
