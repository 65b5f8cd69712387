import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startBalancer, type Balancer } from './balancer.ts';
import { need } from './programs.ts';
import { tempFolder, type Scope } from './temp.ts';

const CONFIGURATION = join(import.meta.dirname, '../../deploy/nginx.conf');
const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

/**
 * nginx with the shipped configuration, in which nothing but addresses is put in, inside a main file that needs no rights: on a free port of
 * 127.0.0.1. @param servers Their ports: as many as the configuration has.
 */
export function startNginx(t: Scope, servers: readonly number[]): Promise<Balancer> {
  return startWith(t, (port) => withPorts(readFileSync(CONFIGURATION, 'utf8'), port, servers));
}

/** nginx as somebody begins with it: with `proxy_pass`, and these lines beside it. @param listen What is added to the port: `http2` is that without TLS. */
export function startPlainNginx(t: Scope, server: number, lines: readonly string[] = [], listen = ''): Promise<Balancer> {
  return startWith(t, (port) => [
    `upstream tidings { server 127.0.0.1:${server}; keepalive 4; }`,
    `server { listen 127.0.0.1:${port} ${listen}; location / { proxy_pass http://tidings; ${lines.join(' ')} } }`,
  ].join('\n'));
}

/** nginx with a server of these lines: locations, as people write them. */
export function startNginxServer(t: Scope, lines: string): Promise<Balancer> {
  return startNginxSite(t, `server {\n${lines}\n}`);
}

/** nginx with these lines, among them one server, which says nothing of its port. */
export function startNginxSite(t: Scope, lines: string): Promise<Balancer> {
  return startWith(t, (port) => lines.replace('server {', `server {\nlisten 127.0.0.1:${port};`));
}

/** @param configuration What stands inside `http { }`, for a port. */
function startWith(t: Scope, configuration: (port: number) => string): Promise<Balancer> {
  return startBalancer(t, 'nginx', (port) => {
    const folder = tempFolder(t);
    writeFileSync(join(folder, 'tidings.conf'), configuration(port));
    writeFileSync(join(folder, 'nginx.conf'), [
      // Workers of root would become somebody who cannot read the folder.
      ...process.getuid?.() === 0 ? ['user root;'] : [],
      // One process: workers would outlive a master that is killed.
      'daemon off; master_process off; error_log stderr; pid nginx.pid;',
      'events { worker_connections 1024; }',
      'http { access_log off;',
      ...TEMPORARY.map((name) => `${name}_temp_path ${name};`),
      'include tidings.conf; }',
    ].join('\n'));
    return { command: need('nginx'), args: ['-p', folder, '-e', 'stderr', '-c', 'nginx.conf'] };
  });
}

function withPorts(text: string, port: number, servers: readonly number[]): string {
  const all = [['listen 127.0.0.1:8080;', `listen 127.0.0.1:${port};`], ...servers.map((server, index) => [`server 127.0.0.1:${8081 + index} `, `server 127.0.0.1:${server} `])];
  return all.reduce((done, [from, to]) => {
    if (done.split(from!).length !== 2) throw new Error(`deploy/nginx.conf has ${JSON.stringify(from)} not once`);
    return done.replace(from!, to!);
  }, text);
}
