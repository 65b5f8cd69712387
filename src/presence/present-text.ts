import type { PresentMember } from './place.ts';

/** The JSON of a member, or of a topic of a member. The metadata stands in it as it was given: numbers of any size survive. */
export function presentText(nameOf: 'id' | 'topic', name: string, { streams, since, meta }: Omit<PresentMember, 'id'>): string {
  return `{"${nameOf}":${JSON.stringify(name)},"streams":${streams},"since":"${new Date(since).toISOString()}"${meta === undefined ? '' : `,"meta":${meta}`}}`;
}
