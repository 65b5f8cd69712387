import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { Scope } from './temp.ts';

/** Makes cert.pem and key.pem in a folder: a certificate for 127.0.0.1 that vouches for itself. Returns the certificate. */
export function makeCertificate(folder: string): string {
  const certificate = join(folder, 'cert.pem');
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1',
    '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', join(folder, 'key.pem'), '-out', certificate], { stdio: 'ignore' });
  return readFileSync(certificate, 'utf8');
}

/** Makes this process trust a certificate until the test is over. */
export function trust(t: Scope, certificate: string): void {
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, certificate]);
  t.teardown(() => setDefaultCACertificates(before));
}
