/** The client of a stream, if it is not anonymous. */
export interface Member {
  readonly id: string;
  /** The metadata that others see: JSON in one line. */
  readonly meta: string | undefined;
}

/** Stops one member's metadata from filling the answers for all others, and the place. Bytes of UTF-8. */
export const META_MAX_BYTES = 1_024;

/** No id is longer: not the subject of a token, and not the name of a key. Bytes of UTF-8. */
export const MEMBER_MAX_BYTES = 300;
