/**
 * Lines that mend a proxy. The tests try each line for nginx, HAProxy and Caddy that does not end in "(not tried)". Lines for other proxies come from their documentation.
 * A line that begins with "remove" names a line to delete, because no further line would undo it. The tests add such a line, and doctor must find it.
 */

/** Proxies whose lines are tried. */
export const TRIED = ['nginx', 'HAProxy', 'Caddy'] as const;
export const UNTRIED = ['Traefik', 'ALB', 'Cloudflare'] as const;

export type Proxy = (typeof TRIED)[number] | (typeof UNTRIED)[number];

export type Mend = Readonly<Partial<Record<Proxy | 'Tidings', string>>>;

export const MENDS = {
  buffering: {
    nginx: 'proxy_buffering off;',
    Caddy: 'remove: buffer_responses, response_buffers',
    Traefik: 'no buffering middleware on this router',
    Cloudflare: 'a cache rule for paths that end in /events: bypass cache',
  },
  noDelay: {
    HAProxy: 'option http-no-delay',
  },
  compression: {
    nginx: 'gzip off;',
    Caddy: 'remove: encode with a match for text/event-stream',
    Traefik: 'compress middleware: excludedContentTypes = text/event-stream',
    Cloudflare: 'a compression rule for paths that end in /events: disable',
  },
  idle: {
    nginx: 'proxy_read_timeout 75s;',
    HAProxy: 'timeout server 75s',
    Caddy: 'transport http { read_timeout 75s }',
    Traefik: 'entryPoints: respondingTimeouts.writeTimeout = 0',
    ALB: 'idle_timeout.timeout_seconds = 75',
    Tidings: 'HEARTBEAT_SECONDS below the shortest of these timeouts',
  },
  lastEventId: {
    nginx: 'proxy_set_header Last-Event-ID $http_last_event_id;',
    HAProxy: 'remove: http-request del-header Last-Event-ID',
    Caddy: 'header_up Last-Event-ID {http.request.header.Last-Event-ID}',
    Cloudflare: 'no transform rule for request headers',
  },
  authorization: {
    nginx: 'proxy_set_header Authorization $http_authorization;',
    HAProxy: 'remove: http-request del-header Authorization',
    Caddy: 'header_up Authorization {http.request.header.Authorization}',
    Traefik: 'basicAuth middleware: removeHeader = false',
  },
  requestHeaders: {
    nginx: 'remove: proxy_set_header lines with ""',
    HAProxy: 'remove: http-request del-header',
    Caddy: 'remove: header_up -…',
  },
  query: {
    nginx: 'remove: rewrite … ?, a variable after proxy_pass that is not $request_uri',
    HAProxy: 'remove: http-request set-query, set-uri',
    Caddy: 'remove: ? at the end of rewrite',
    Cloudflare: 'no URL rewrite rule',
  },
  path: {
    nginx: 'remove: what follows the port in proxy_pass, even /',
  },
  body: {
    nginx: 'client_max_body_size 32m;',
    HAProxy: 'remove: http-request deny by req.body_size or Content-Length',
    Caddy: 'request_body { max_size 32MB }',
    Traefik: 'buffering middleware: maxRequestBodyBytes = 33554432',
  },
  heldBody: {
    nginx: 'client_body_timeout 60s; (not tried)',
    HAProxy: 'remove: option http-buffer-request',
    Caddy: 'servers { timeouts { read_body 60s } } (not tried)',
  },
  cache: {
    nginx: 'proxy_cache off;',
    Cloudflare: 'a cache rule for this host: bypass cache',
  },
  cacheControl: {
    nginx: 'expires off;',
    HAProxy: 'http-response set-header Cache-Control "no-cache, no-transform" if { res.hdr(content-type) -m beg text/event-stream }',
    Caddy: 'remove: header Cache-Control, header_down Cache-Control',
    Cloudflare: 'browser cache TTL: respect existing headers',
  },
  host: {
    nginx: 'proxy_set_header Host $http_host;',
    HAProxy: 'remove: http-request set-header Host',
    Caddy: 'header_up Host {http.request.hostport}',
    Traefik: 'passHostHeader = true',
    ALB: 'routing.http.preserve_host_header.enabled = true',
  },
  redirect: {
    nginx: 'remove: return 301, rewrite … redirect',
    HAProxy: 'remove: http-request redirect',
    Caddy: 'remove: redir',
  },
  status: {
    nginx: 'proxy_intercept_errors off; and error_page as in deploy/nginx.conf',
    HAProxy: 'http-error lines as in deploy/haproxy.cfg',
    Caddy: 'handle_errors as in docs/balancers.md',
  },
  contentType: {
    nginx: 'remove: proxy_hide_header Content-Type, error_page … =200',
    HAProxy: 'remove: http-response set-header Content-Type, http-request return',
    Caddy: 'remove: header_down Content-Type, respond',
  },
  location: {
    nginx: 'proxy_redirect / /prefix/;',
    HAProxy: 'http-response replace-header Location ^(/.*)$ /prefix\\1',
    Caddy: 'header_down Location ^/ /prefix/',
  },
  ending: {
    nginx: 'proxy_http_version 1.1;',
  },
  webSocket: {
    nginx: 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;',
    HAProxy: 'remove: http-request del-header Upgrade',
    Caddy: 'remove: header_up -Upgrade',
    Tidings: 'Node.js 24.9 or newer',
  },
  keepAlive: {
    nginx: 'keepalive_timeout 75s;',
    HAProxy: 'remove: option httpclose',
  },
  http2: {
    nginx: 'listen 443 ssl http2; (not tried)',
    HAProxy: 'bind :443 ssl crt … alpn h2,http/1.1 (not tried)',
    Caddy: 'servers { protocols h1 h2 h3 } (not tried)',
  },
  cors: {
    nginx: 'remove: add_header Access-Control-…, if ($request_method = OPTIONS)',
    HAProxy: 'remove: http-response set-header Access-Control-…',
    Caddy: 'remove: header Access-Control-…',
    Tidings: 'CORS_ORIGINS=<the origin of the page>',
  },
  allowedHosts: { Tidings: 'ALLOWED_HOSTS=<the host of this URL>' },
} as const satisfies Record<string, Mend>;

export type MendName = keyof typeof MENDS;
