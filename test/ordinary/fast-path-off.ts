/**
 * The tests of what clients see, again on instances without the fast path: two edges answer publishes and streams, and each promises all of it. They are the same
 * files; `test/support/instance.ts` reads the switch. Each has a process of its own here too, so that they run side by side.
 *
 * Only those need it in which publishes and streams are carried out. What the fast path never takes comes the ordinary way in test/wire already: what is refused
 * (`bad-input`), batches, history and long polls (`history`, `poll`), operations and the description (`operations`, `openapi`). And what becomes of a body is
 * settled behind both edges (`json`).
 */
process.env['TIDINGS_TEST_FAST_PATH'] = 'off';
