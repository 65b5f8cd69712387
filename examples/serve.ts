import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { measure } from './dashboard/measure.ts';
import { pageServer } from './pages.ts';

/** `npm run examples`: the service, the pages, and what measures this machine for the dashboard. */

const { PORT = '8080', PAGES_PORT = '8088', DATABASE_URL = 'file:data/examples.db' } = process.env;
const service = `http://127.0.0.1:${PORT}`;
const origin = `http://127.0.0.1:${PAGES_PORT}`;

// Another service there would get the measurements.
const probe = createServer();
try {
  await once(probe.listen(Number(PORT), '127.0.0.1'), 'listening');
} catch (error) {
  process.stderr.write(`PORT: the service cannot listen at ${service}; stop the other one, or set another port. ${String(error)}\n`);
  process.exit(1);
}
await new Promise((resolve) => void probe.close(resolve));

const pages = pageServer(service).listen(Number(PAGES_PORT), '127.0.0.1');
try {
  await once(pages, 'listening');
} catch (error) {
  process.stderr.write(`PAGES_PORT: the pages cannot be served at ${origin}; set another port. ${String(error)}\n`);
  process.exit(1);
}
const child = spawn(process.execPath, [join(import.meta.dirname, '../src/serve.js')], { stdio: 'inherit', env: { ...process.env, PORT, HOST: '127.0.0.1', CORS_ORIGINS: origin, DATABASE_URL } });
const stopMeasuring = measure(service);
process.stdout.write(`The examples: ${origin}/\n`);

// Ctrl-C reaches the service, too: it ends by itself, and then the rest does.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.once('close', (code) => {
  stopMeasuring();
  pages.closeAllConnections();
  pages.close();
  process.exitCode = code ?? 1;
});
