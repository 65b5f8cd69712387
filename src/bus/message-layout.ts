/**
 * The layout of one message in an envelope. `envelope.ts` writes it, `received-messages.ts` reads it.
 *
 *     head: flags u8 | seq f64 | time f64 | expires f64 | topic length u16 | event length u32 | data length u32
 *     message: head | topic | event, if flagged | data
 *
 * Numbers are big-endian. The offsets count from the beginning of the message.
 */
export const FLAGS_OFFSET_BYTES = 0;
export const SEQ_OFFSET_BYTES = FLAGS_OFFSET_BYTES + 1;
export const TIME_OFFSET_BYTES = SEQ_OFFSET_BYTES + 8;
export const EXPIRES_OFFSET_BYTES = TIME_OFFSET_BYTES + 8;
export const TOPIC_LENGTH_OFFSET_BYTES = EXPIRES_OFFSET_BYTES + 8;
export const EVENT_LENGTH_OFFSET_BYTES = TOPIC_LENGTH_OFFSET_BYTES + 2;
export const DATA_LENGTH_OFFSET_BYTES = EVENT_LENGTH_OFFSET_BYTES + 4;
export const MESSAGE_HEAD_BYTES = DATA_LENGTH_OFFSET_BYTES + 4;

export const FLAG_JSON = 1;
export const FLAG_EVENT = 2;

/** The longest envelope. A message that does not fit is not sent: the envelope says "look at the head". Stops large messages from crossing the bus once for each instance and delaying small ones. */
export const ENVELOPE_MAX_BYTES = 1024 * 1024;
