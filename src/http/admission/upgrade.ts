import type { RequestHead } from './request-head.ts';

/** RFC 6455, section 4.2.1: the version that all clients speak, and 16 bytes in base64. */
const VERSION = '13';
const KEY = /^[+/0-9A-Za-z]{22}==$/;

const SAYS_UPGRADE = /(?:^|,)[ \t]*upgrade[ \t]*(?:,|$)/i;
const SAYS_WEBSOCKET = /^websocket$/i;

/** Whether a request asks to become a WebSocket (RFC 9110, section 7.8). */
export function asksForWebSocket({ method, httpVersion, headers: { upgrade, connection } }: Pick<RequestHead, 'method' | 'httpVersion' | 'headers'>): boolean {
  return method === 'GET' && httpVersion === '1.1' && upgrade !== undefined && SAYS_WEBSOCKET.test(upgrade) && SAYS_UPGRADE.test(connection ?? '');
}

/** The first wrong header of a handshake; undefined if all are right. */
export function wrongHandshakeHeader({ headers, repeated }: Pick<RequestHead, 'headers' | 'repeated'>): { readonly field: string; readonly why: string } | undefined {
  if (headers['sec-websocket-version'] !== VERSION) return { field: 'Sec-WebSocket-Version', why: `it must be ${VERSION}` };
  if (repeated.includes('sec-websocket-key') || !KEY.test(headers['sec-websocket-key'] ?? '')) return { field: 'Sec-WebSocket-Key', why: 'it must be 16 bytes in base64, once' };
  // The bytes of a body would be read as frames.
  const body = ['content-length', 'transfer-encoding'].find((name) => headers[name] !== undefined);
  return body === undefined ? undefined : { field: body === 'content-length' ? 'Content-Length' : 'Transfer-Encoding', why: 'a handshake has no body' };
}
