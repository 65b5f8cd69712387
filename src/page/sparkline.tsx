import type { JSX } from 'preact';

/** The course of a figure, as far as this page has seen it. @param least The height stands for so much at least, so that little does not look like much. */
export function Sparkline({ values, least = 1 }: { readonly values: readonly number[]; readonly least?: number }): JSX.Element | null {
  if (values.length < 2) return null;
  const most = Math.max(...values, least);
  const points = values.map((value, place) => `${(place / (values.length - 1)) * 100},${20 - (value / most) * 18}`).join(' ');
  return <svg class="sparkline" viewBox="0 0 100 21" preserveAspectRatio="none" aria-hidden="true"><polyline points={points} vector-effect="non-scaling-stroke" /></svg>;
}
