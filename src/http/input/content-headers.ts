import type { IncomingHttpHeaders } from 'node:http';
import { Problem } from '../../model/problem.ts';
import { ownText } from '../../runtime/memory.ts';

/** The encodings that text may have: UTF-8, and its subsets. */
const CHARSETS = new Set(['utf-8', 'utf8', 'us-ascii', 'ascii']);

/** The media type of a body, in lower case, empty where none is given. */
export function mediaType(headers: IncomingHttpHeaders): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
}

/** RFC 9110, section 8.3.1; what its parameters are is left open. */
const MEDIA_TYPE = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+\s*(?:;|$)/;

/** A JSON MIME type (https://mimesniff.spec.whatwg.org/#json-mime-type), as browsers understand it. */
const JSON_TYPE = /^(?:application|text)\/json$|^[^/]+\/[^/]+\+json$/;

/** The type that was sent last and may be: nearly all publishers of an instance send the same. */
let last: { readonly type: string | undefined; readonly isJson: boolean } = { type: undefined, isJson: false };

/** Whether the headers say that the body is JSON. */
export function isJson(headers: IncomingHttpHeaders): boolean {
  return headers['content-type'] === last.type ? last.isJson : JSON_TYPE.test(mediaType(headers));
}

/** Refuses bodies of no media type. Refuses those too that are compressed, in several parts or in another character set: they would have to be decoded first. */
export function contentProblem(headers: IncomingHttpHeaders): Problem | undefined {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
    return new Problem('unsupported-media-type', 'The body must not be compressed.', { field: 'Content-Encoding' });
  }
  const type = headers['content-type'];
  if (type === undefined || type === last.type) return undefined;
  if (!MEDIA_TYPE.test(type)) return new Problem('unsupported-media-type', 'The Content-Type is no media type.', { field: 'Content-Type' });
  if (type.trimStart().toLowerCase().startsWith('multipart/')) {
    return new Problem('unsupported-media-type', 'A form of several parts is not taken apart: send the data itself as the body, with curl by --data-binary @file in place of -F.', { field: 'Content-Type' });
  }
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(type)?.[1];
  if (charset !== undefined && !CHARSETS.has(charset.toLowerCase())) {
    return new Problem('unsupported-media-type', 'The body must be UTF-8.', { field: 'Content-Type' });
  }
  last = { type: ownText(type), isJson: isJson(headers) };
  return undefined;
}
