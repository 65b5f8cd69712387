/** The highest value of EVENT_BYTES. */
export const EVENT_MAX_BYTES = 1024;
