/**
 * The lines of a head as a client or a proxy sends them that cannot be run here, without those that tell of the body. They were put together from
 * what its documentation says; none was recorded.
 */
export interface RealHead {
  readonly who: string;
  readonly lines: readonly string[];
  /** Why requests with this head take the ordinary way. */
  readonly ordinary?: string;
}

/** The addresses are those for documentation (RFC 5737, RFC 3849). */
export const REAL_HEADS: readonly RealHead[] = [
  {
    // https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html, …/load-balancer-request-tracing.html
    who: 'AWS ALB',
    lines: [
      'X-Forwarded-For: 198.51.100.7, 203.0.113.9', 'X-Forwarded-Proto: https', 'X-Forwarded-Port: 443', 'Host: tidings.example',
      'X-Amzn-Trace-Id: Self=1-67891234-12456789abcdef012345678;Root=1-67891233-abcdef012345678912345678', 'User-Agent: curl/8.5.0', 'Accept: */*',
    ],
  },
  {
    // https://docs.aws.amazon.com/elasticloadbalancing/latest/application/header-modification.html (TLS), …/listener-authenticate-users.html (a user: long tokens, and a cookie in parts)
    who: 'AWS ALB with TLS headers and a signed-in user',
    lines: [
      'X-Forwarded-For: 2001:db8::7', 'X-Forwarded-Proto: https', 'X-Forwarded-Port: 443', 'Host: tidings.example', 'X-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678',
      'X-Amzn-Tls-Version: TLSv1.3', 'X-Amzn-Tls-Cipher-Suite: TLS_AES_128_GCM_SHA256', 'x-amzn-oidc-identity: 5a2b9c4e-0000-4000-8000-000000000000',
      `x-amzn-oidc-accesstoken: ${'eyJraWQiOiJ'.repeat(90)}`, `x-amzn-oidc-data: ${'eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9'.repeat(20)}==.c2ln==`, 'Cookie: AWSELBAuthSessionCookie-0=abc; AWSELBAuthSessionCookie-1=def',
      'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'Accept: */*',
    ],
  },
  {
    // https://developers.cloudflare.com/fundamentals/reference/http-headers/ and …/rules/transform/managed-transforms/reference/ (the visitor's place, in UTF-8)
    who: 'Cloudflare',
    lines: [
      'Host: tidings.example', 'Connection: Keep-Alive', 'Accept-Encoding: gzip, br', 'X-Forwarded-For: 203.0.113.9', 'CF-RAY: 7d5b2a1c8f2e1a2b-GRU', 'X-Forwarded-Proto: https', 'CF-Visitor: {"scheme":"https"}',
      'CF-IPCountry: BR', 'CF-IPCity: São Paulo', 'cf-ipcontinent: SA', 'cf-iplatitude: -23.54750', 'cf-iplongitude: -46.63610', 'cf-region: São Paulo', 'cf-region-code: SP', 'cf-timezone: America/Sao_Paulo',
      'CF-Connecting-IP: 203.0.113.9', 'CDN-Loop: cloudflare; loops=1', 'User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)', 'Accept: */*', 'Accept-Language: pt-BR,pt;q=0.9', 'Cookie: __cf_bm=abc.def-1699999999-1.0.1.1; cf_clearance=x',
    ],
  },
  {
    // https://cloud.google.com/load-balancing/docs/https (headers that are added; names in lower case), …/custom-headers (the client's place, in ASCII)
    who: "Google's load balancer",
    lines: [
      'host: tidings.example', 'user-agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)', 'accept: */*', 'x-forwarded-for: 192.0.2.44,203.0.113.9,198.51.100.7', 'x-forwarded-proto: https',
      'x-cloud-trace-context: 105445aa7843bc8bf206b12000100000/1;o=1', 'traceparent: 00-105445aa7843bc8bf206b12000100000-0000000000000001-01', 'x-client-geo-location: US,Mountain View', 'via: 1.1 google', 'connection: Keep-Alive',
    ],
  },
  {
    // https://fly.io/docs/networking/request-headers/
    who: 'Fly.io',
    lines: [
      'host: tidings.fly.dev', 'user-agent: curl/8.5.0', 'accept: */*', 'x-request-start: t=1690000000000000', 'fly-client-ip: 203.0.113.9', 'x-forwarded-for: 203.0.113.9, 198.51.100.7', 'fly-forwarded-proto: https', 'x-forwarded-proto: https',
      'fly-forwarded-ssl: on', 'x-forwarded-ssl: on', 'fly-forwarded-port: 443', 'x-forwarded-port: 443', 'fly-region: ams', 'fly-request-id: 01H5ZZZZZZZZZZZZZZZZZZZZZZ-ams', 'via: 2 fly.io',
    ],
  },
  {
    // https://devcenter.heroku.com/articles/http-routing; its first router closes each connection to a dyno
    who: 'Heroku',
    lines: [
      'Host: tidings.herokuapp.com', 'Connection: close', 'User-Agent: curl/8.5.0', 'Accept: */*', 'X-Request-Id: 2d8f7a5e-1111-4222-8333-444444444444', 'X-Forwarded-For: 203.0.113.9', 'X-Forwarded-Proto: https', 'X-Forwarded-Port: 443',
      'Via: 1.1 vegur', 'Connect-Time: 0', 'X-Request-Start: 1690000000000', 'Total-Route-Time: 0',
    ],
  },
  {
    // https://devcenter.heroku.com/articles/heroku-router-2-0 keeps connections
    who: "Heroku's Router 2.0",
    lines: [
      'Host: tidings.herokuapp.com', 'User-Agent: curl/8.5.0', 'Accept: */*', 'X-Forwarded-For: 203.0.113.9', 'X-Forwarded-Proto: https', 'X-Forwarded-Port: 443', 'X-Request-Id: 2d8f7a5e-1111-4222-8333-444444444444',
      'X-Request-Start: 1690000000000', 'Via: 1.1 heroku-router', 'Connection: keep-alive',
    ],
  },
  {
    // https://www.rfc-editor.org/rfc/rfc9110#section-5.3: a list may come in several lines; proxies leave them as they are, or add their own line
    who: 'a chain of proxies that each add lines of their own',
    lines: [
      'Host: tidings.example', 'X-Forwarded-For: 203.0.113.9', 'X-Forwarded-For: 198.51.100.7', 'X-Forwarded-For: 192.0.2.1', 'Via: 1.1 one', 'Via: 1.1 two (squid/6.6)', 'Forwarded: for="[2001:db8::7]";proto=https', 'Forwarded: for=198.51.100.7',
      'Cookie: a=1', 'Cookie: b=2; c=3', 'Accept: text/event-stream', 'Accept: */*;q=0.1', 'Accept-Language: de', 'Accept-Language: en;q=0.5', 'Cache-Control: no-cache', 'Cache-Control: no-store', 'Accept-Encoding: gzip', 'Accept-Encoding: br',
    ],
  },
  {
    // https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
    who: 'a client that accepts several types',
    lines: ['Host: tidings.example', 'User-Agent: sse-client/2.1', 'Accept: text/event-stream, application/json;q=0.9, */*;q=0.1', 'Connection: keep-alive'],
  },
  {
    // https://www.rfc-editor.org/rfc/rfc9110#section-5.5: bytes beyond ASCII are obs-text; programs with a name in another language send them
    who: 'a client whose name has letters beyond ASCII, in UTF-8 and in Latin-1',
    lines: ['Host: tidings.example', 'User-Agent: Überwachung/1.0', 'X-Place: S\u{e3}o Paulo', 'X-Latin: \xff'],
  },
  {
    // https://www.rfc-editor.org/rfc/rfc9110#section-5.5: white space around a value is none of it. Some devices align their values with it, or leave a blank behind
    who: 'a device that aligns its values',
    lines: ['Host:     tidings.example', 'User-Agent:\tESP32 HTTP Client/1.0', 'Accept: */* ', 'X-Empty:', 'X-Tabs: a\tb'],
  },
  {
    // https://pkg.go.dev/net/http#Transport
    who: "Go's net/http",
    lines: ['Host: tidings.example', 'User-Agent: Go-http-client/1.1', 'Accept-Encoding: gzip'],
  },
  {
    // https://docs.oracle.com/en/java/javase/21/docs/api/java.net.http/java/net/http/HttpClient.Version.html: HTTP/2 is preferred, and asked for in the first request
    who: "Java's HttpClient as it is by default",
    lines: ['Connection: Upgrade, HTTP2-Settings', 'Host: tidings.example', 'HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA', 'Upgrade: h2c', 'User-Agent: Java-http-client/21.0.2'],
    ordinary: 'it asks for an upgrade to HTTP/2',
  },
  {
    // https://docs.oracle.com/en/java/javase/21/docs/api/java.net.http/java/net/http/HttpClient.Builder.html#version(java.net.http.HttpClient.Version)
    who: "Java's HttpClient for HTTP/1.1",
    lines: ['Host: tidings.example', 'User-Agent: Java-http-client/21.0.2'],
  },
  {
    // https://docs.oracle.com/javase/8/docs/api/java/net/HttpURLConnection.html: the Accept that it sends by default
    who: "Java's HttpURLConnection",
    lines: ['User-Agent: Java/17.0.9', 'Host: tidings.example', 'Accept: text/html, image/gif, image/jpeg, */*; q=0.2', 'Connection: keep-alive'],
  },
  {
    // https://ruby-doc.org/stdlib/libdoc/net/http/rdoc/Net/HTTP.html
    who: "Ruby's Net::HTTP",
    lines: ['Accept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3', 'Accept: */*', 'User-Agent: Ruby', 'Connection: close', 'Host: tidings.example'],
  },
  {
    // https://metacpan.org/pod/LWP::Protocol::http
    who: "Perl's LWP",
    lines: ['TE: deflate,gzip;q=0.3', 'Connection: TE, close', 'Host: tidings.example', 'User-Agent: libwww-perl/6.67'],
  },
];
