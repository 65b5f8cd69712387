import type { JSX } from 'preact';

/** The little Markdown of the OpenAPI document: paragraphs, tables, and code between backticks. As elements, since no text may become HTML here. */
export function Prose({ text }: { readonly text: string }): JSX.Element {
  return <>{text.split(/\n{2,}/).map((block) => block.startsWith('|') ? <ProseTable key={block} block={block} /> : <p key={block}><Inline text={block} /></p>)}</>;
}

function ProseTable({ block }: { readonly block: string }): JSX.Element {
  const [head = [], , ...rows] = block.split('\n').map((line) => line.replaceAll(/^\||\|$/g, '').split('|').map((cell) => cell.trim()));
  return (
    <table>
      <thead><tr>{head.map((cell) => <th key={cell} scope="col">{cell}</th>)}</tr></thead>
      <tbody>{rows.map((row) => <tr key={row[0]}>{row.map((cell, place) => <td key={place} data-label={head[place]}><div><Inline text={cell} /></div></td>)}</tr>)}</tbody>
    </table>
  );
}

/** One line with code in it. */
export function Inline({ text }: { readonly text: string }): JSX.Element {
  return <>{text.split('`').map((part, place) => place % 2 === 1 ? <code key={place}>{part}</code> : part)}</>;
}
