/**
 * The headers of every answer, for browsers. But for the page at `/`, nothing here is a page: so a browser may neither run nor show anything of it, and no other page may hold it.
 * Strict-Transport-Security belongs to the TLS proxy in front.
 */
export const SECURITY_HEADERS = {
  // No message is taken for a page, a script or a picture, whichever text it has.
  'x-content-type-options': 'nosniff',
  // If a browser shows one as a page nevertheless, it loads and runs nothing. A person's console may open a stream. No page holds it in a frame.
  'content-security-policy': "default-src 'none'; connect-src 'self'; frame-ancestors 'none'",
  // A URL may hold topics, and a credential: no link that is followed from an answer tells it.
  'referrer-policy': 'no-referrer',
  // No page of another origin loads it as a script or picture, into memory that the page may spy on. For origins of CORS_ORIGINS, origin.ts says otherwise.
  'cross-origin-resource-policy': 'same-origin',
} as const;

/** The page has this policy instead: it uses its own files, and asks this service alone. No text of a message becomes a script or a page, wherever it may get to. */
export const PAGE_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
