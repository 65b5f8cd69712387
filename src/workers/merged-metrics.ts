/** A line about all series of one name: `# HELP name …` or `# TYPE name …`. */
const COMMENT = /^# (?:HELP|TYPE) (\S+) /;

/**
 * Merges expositions in Prometheus' text format. The format wants all series of one name together, and their comments once. Each exposition has its own label on its series, so no two series
 * are equal.
 */
export function mergeMetrics(texts: readonly string[]): string {
  const families = new Map<string, { readonly comments: string[]; readonly series: string[] }>();
  for (const text of texts) {
    let family: { readonly comments: string[]; readonly series: string[] } | undefined;
    for (const line of text.split('\n')) {
      const name = COMMENT.exec(line)?.[1];
      if (name !== undefined) {
        family = families.get(name) ?? { comments: [], series: [] };
        families.set(name, family);
        if (!family.comments.includes(line) && family.series.length === 0) family.comments.push(line);
      } else if (line !== '') family?.series.push(line);
    }
  }
  return [...families.values()].map(({ comments, series }) => [...comments, ...series, ''].join('\n')).join('\n');
}
