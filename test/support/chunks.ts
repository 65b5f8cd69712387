/** What the chunks of a body hold, one by one (RFC 9112, section 7.1). They must be whole. */
export function* chunksOf(bytes: Uint8Array): Generator<Buffer, void> {
  for (let rest = Buffer.from(bytes); rest.length > 0; ) {
    const from = rest.indexOf('\r\n') + 2;
    const to = from + Number.parseInt(rest.toString('latin1', 0, from), 16);
    if (rest.toString('latin1', to, to + 2) !== '\r\n') throw new Error(`no chunk: ${JSON.stringify(rest.toString('latin1', 0, 100))}`);
    yield rest.subarray(from, to);
    rest = rest.subarray(to + 2);
  }
}
