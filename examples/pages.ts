import { readFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { extname, join } from 'node:path';

/** The service that the pages name. */
const SERVICE_IN_PAGES = 'http://127.0.0.1:8080';
const TYPES: Readonly<Record<string, string>> = { '.html': 'text/html; charset=utf-8', '.css': 'text/css; charset=utf-8', '.js': 'text/javascript; charset=utf-8' };
/** `/dashboard/`, `/dashboard/page.js`: a folder or a file of one, and no name that begins with a dot. */
const PATH = /^\/(?:[a-z]+\/)?(?:[a-z]+\.(?:html|css|js))?$/;

/** Serves the examples' pages as they are, but for the address of the service. */
export function pageServer(service: string): Server {
  return createServer((request, response) => {
    void answer(service, request.url ?? '/', response);
  });
}

async function answer(service: string, url: string, response: ServerResponse): Promise<void> {
  const pathname = url.split('?', 1)[0]!;
  const file = join(import.meta.dirname, pathname.endsWith('/') ? `${pathname}index.html` : pathname);
  const text = PATH.test(pathname) ? await readFile(file, 'utf8').catch(() => undefined) : undefined;
  if (text === undefined) response.writeHead(404).end('There is no such page.\n');
  else response.setHeader('content-type', TYPES[extname(file)]!).end(text.replaceAll(SERVICE_IN_PAGES, service));
}
