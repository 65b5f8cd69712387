/** The longest event name that any instance may be set to take. */
export const EVENT_MAX_BYTES = 1024;
