import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Peer } from '../types.ts';
import { answers } from './ports.ts';
import { findProgram, needProgram, said } from './programs.ts';
import { redisMissing, redisVersion } from './redis.ts';
import { startServer, type Place } from './server.ts';

const MODULE_FOLDERS = ['/usr/lib/nginx/modules', '/usr/share/nginx/modules', '/usr/lib64/nginx/modules'];
const MODULE = 'ngx_nchan_module.so';
const PACKAGE = 'libnginx-mod-nchan';
const INSTALL = `apt-get install nginx-light ${PACKAGE}`;

/** nginx with the Nchan module: publish/subscribe in C, and the peer to measure against. */
export const nchan: Peer = {
  name: 'nchan',
  about: 'nginx + Nchan, one worker process, messages in its memory (or, where a table says so, in Redis). 1,000 messages a topic are held for a minute, so that Last-Event-ID works.',
  durable: false,
  versions: async () => ({
    nginx: /nginx\/([0-9.]+)/.exec(await said(needProgram('nginx'), ['-v']))?.[1] ?? '',
    nchan: await moduleVersion(),
    ...(redisMissing() === undefined ? { redis: await redisVersion() } : {}),
  }),
  missing() {
    if (findProgram('nginx') === undefined) return `nginx is not installed: ${INSTALL}`;
    if (findModule() === undefined) return `nginx's Nchan module is not installed: ${INSTALL}`;
    return undefined;
  },
  async start(options = {}) {
    const instances = options.instances ?? 1;
    // Each instance has its own memory: several meet only in Redis.
    const redis = options.redis ?? instances > 1;
    if (instances > 1 && !redis) throw new Error('Several instances of Nchan need Redis');
    return startServer({
      wire: 'nchan',
      instances,
      redis,
      folder: options.folder,
      program: (port, place) => {
        const command = needProgram('nginx');
        const folder = join(place.folder, `nginx-${port}`);
        mkdirSync(folder);
        writeFileSync(join(folder, 'nginx.conf'), configuration(port, folder, place));
        return {
          command,
          args: ['-p', folder, '-c', 'nginx.conf'],
          folder,
          // While it connects to Redis, a stream is refused with 503.
          ready: async () => await answers(port, '/sub/ready') === 200,
          ...(options.env === undefined ? {} : { env: options.env }),
          ...(options.by === undefined ? {} : { by: options.by }),
        };
      },
    });
  },
};

/**
 * nginx's and Nchan's defaults, but for
 * - one worker: with two, the second would share a core with the load, and Nchan passes each message between workers;
 * - as many connections as a process may have open files here, and a sixteenth more: below that nginx begins to close streams;
 * - `newest`: a new stream gets what is published from then on, like everybody else's; the default begins with the oldest message held;
 * - the buffer: 10 messages by default, too few to come back to. A thousand for a minute, and the shared memory to hold
 *   them; the message is held once, its streams only point to it;
 * - keep-alive without an end: by default a publisher's connection is closed after a thousand requests;
 * - no access log.
 * No ping (the default), which is to Nchan's advantage: the others write to quiet streams about twice a minute.
 */
function configuration(port: number, folder: string, { redisUrl }: Place): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${join(folder, kind)};`);
  // In the locations themselves: given once for the server, it is taken and does nothing.
  const pass = redisUrl === undefined ? '' : 'nchan_redis_pass redis;';
  return `
load_module ${findModule()};
daemon off;
${process.getuid?.() === 0 ? 'user root;  # its folder belongs to who started it' : ''}
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${join(folder, 'nginx.pid')};
error_log stderr warn;
events { worker_connections 24000; }
http {
  access_log off;
  ${temporary.join('\n  ')}
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  nchan_shared_memory_size 256M;
  nchan_message_buffer_length 1000;
  nchan_message_timeout 60s;
  ${redisUrl === undefined ? '' : `upstream redis { nchan_redis_server ${redisUrl}; }`}
  server {
    listen 127.0.0.1:${port};
    location ~ ^/sub/(.+)$ {
      ${pass}
      nchan_subscriber eventsource;
      nchan_subscriber_first_message newest;
      nchan_channel_id $1;
    }
    location ~ ^/pub/(.+)$ {
      ${pass}
      nchan_publisher http;
      nchan_channel_id $1;
    }
  }
}
`;
}

function findModule(): string | undefined {
  return MODULE_FOLDERS.map((folder) => join(folder, MODULE)).find((path) => existsSync(path));
}

/** The module does not tell its own version; Debian's package does. */
async function moduleVersion(): Promise<string> {
  const dpkg = findProgram('dpkg-query');
  if (dpkg === undefined) return 'unknown';
  return /^(?:\d+:)?([0-9.]+)/.exec(await said(dpkg, ['-W', '-f', '${Version}', PACKAGE]))?.[1] ?? 'unknown';
}
