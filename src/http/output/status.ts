/**
 * The reason phrase of each status. Not by `import`: a module of Node's that is imported gets all its exports read, and for `node:http` they
 * are WebSocket and `fetch` too, which nobody needs here and which cost every boot 60 ms of CPU.
 */
export const { STATUS_CODES } = process.getBuiltinModule('node:http');
