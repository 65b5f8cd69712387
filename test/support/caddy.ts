import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startBalancer, type Balancer } from './balancer.ts';
import { need } from './programs.ts';
import { tempFolder, type Scope } from './temp.ts';

/** Caddy as a reverse proxy with nothing set but addresses, on a free port of 127.0.0.1. It speaks HTTP/1.1, and HTTP/2 without TLS. */
export function startCaddy(t: Scope, server: number): Promise<Balancer> {
  return startCaddySite(t, `reverse_proxy 127.0.0.1:${server}`);
}

/** @param lines What stands inside of its site. */
export function startCaddySite(t: Scope, lines: string): Promise<Balancer> {
  const folder = tempFolder(t);
  return startBalancer(t, 'Caddy', (port) => {
    const file = join(folder, 'Caddyfile');
    writeFileSync(file, [
      // No port for administration, and no certificates.
      '{', 'admin off', 'auto_https off', 'servers {', 'protocols h1 h2c', '}', '}',
      `http://:${port} {`, 'bind 127.0.0.1', lines, '}', '',
    ].join('\n'));
    return { command: need('caddy'), args: ['run', '--adapter', 'caddyfile', '--config', file], env: { HOME: folder } };
  });
}
