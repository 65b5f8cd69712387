/** The head of a response whose body goes on for ever. */
export function streamHead(headers: Readonly<Record<string, string>>, chunked: boolean, keepsAlive: boolean): string {
  let head = 'HTTP/1.1 200 OK\r\n';
  for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
  return `${head}date: ${httpDate()}\r\nconnection: ${keepsAlive ? 'keep-alive' : 'close'}\r\n${chunked ? 'transfer-encoding: chunked\r\n' : ''}\r\n`;
}

let second = 0;
let date = '';

/** The time as `Date` has it (RFC 9110, section 5.6.7), formatted once a second. */
export function httpDate(): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    date = new Date(now * 1000).toUTCString();
  }
  return date;
}
