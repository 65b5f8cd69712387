/** What is in an id. Clients must not look inside, but numbers without holes, and what was lost with an epoch, are what is checked here. */

export function numberOf(id: string): number {
  const number = Number(id.slice(id.lastIndexOf('-') + 1));
  if (!Number.isSafeInteger(number)) throw new Error(`No id: ${JSON.stringify(id)}`);
  return number;
}

export function epochOf(id: string): string {
  return id.slice(0, id.lastIndexOf('-'));
}
