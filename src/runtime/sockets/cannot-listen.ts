/** The lines for the operator, by the code of the error. */
const LISTEN_SENTENCES: Readonly<Record<string, (host: string, port: number, prefix: string) => string>> = {
  EADDRINUSE: (_host, port, prefix) => `${prefix}PORT: ${port} is in use; stop the other process or set ${prefix}PORT`,
  EACCES: (_host, port, prefix) => `${prefix}PORT: this user may not listen on ${port}; set ${prefix}PORT to one above 1023`,
  EADDRNOTAVAIL: (host, _port, prefix) => `${prefix}HOST: ${host} is no address of this machine; set ${prefix}HOST`,
  ENOTFOUND: (host, _port, prefix) => `${prefix}HOST: no address is known for ${host}; set ${prefix}HOST`,
};

/** Returns the line for an operator whose settings name an unusable host or port. @param prefix The beginning of those settings' names. */
export function cannotListen(host: string, port: number, error: unknown, prefix: '' | 'OPS_'): string {
  const { code = '', message } = error instanceof Error ? error as NodeJS.ErrnoException : { message: String(error) };
  return `${LISTEN_SENTENCES[code]?.(host, port, prefix) ?? `${prefix}HOST, ${prefix}PORT: cannot listen on ${host}:${port}`} (${message})`;
}
