import { parser } from '@prometheus-io/lezer-promql';

/** What a PromQL expression asks for, as Prometheus' own grammar reads it. */

/** A metric that an expression names, with the labels that it matches. */
export interface Selector {
  readonly name: string;
  readonly matchers: readonly Matcher[];
  /** The function that it is the argument of: `rate`, say. */
  readonly within: string | undefined;
}

export interface Matcher {
  readonly label: string;
  readonly operator: string;
  readonly value: string;
}

export interface PromQuery {
  readonly selectors: readonly Selector[];
  /** The labels of each `by (…)`, with the names of the metrics that are grouped so. */
  readonly groupings: readonly { readonly labels: readonly string[]; readonly names: readonly string[] }[];
}

type Node = ReturnType<typeof parser.parse>['topNode'];

/** @throws Error where it is no PromQL */
export function readPromql(expression: string): PromQuery {
  const textOf = ({ from, to }: Node): string => expression.slice(from, to);
  const all = (node: Node, name: string): Node[] => [...(node.name === name ? [node] : []), ...childrenOf(node).flatMap((child) => all(child, name))];
  const { topNode } = parser.parse(expression);
  const [error] = all(topNode, '⚠');
  if (error !== undefined) throw new Error(`no PromQL at character ${error.from}: ${expression}`);
  const nameOf = (selector: Node): string => textOf(selector.getChild('Identifier')!);
  const functionOf = (selector: Node): string | undefined => {
    for (let node = selector.parent; node !== null; node = node.parent) if (node.name === 'FunctionCall') return textOf(node.getChild('FunctionIdentifier')!);
    return undefined;
  };
  return {
    selectors: all(topNode, 'VectorSelector').map((selector) => ({
      name: nameOf(selector), within: functionOf(selector),
      matchers: all(selector, 'UnquotedLabelMatcher').map((matcher) => ({ label: textOf(matcher.getChild('LabelName')!), operator: textOf(matcher.getChild('MatchOp')!), value: JSON.parse(textOf(matcher.getChild('StringLiteral')!)) as string })),
    })),
    groupings: all(topNode, 'AggregateExpr').flatMap((aggregate) => {
      const modifier = aggregate.getChild('AggregateModifier');
      return modifier === null ? [] : [{ labels: all(modifier, 'LabelName').map(textOf), names: all(aggregate, 'VectorSelector').map(nameOf) }];
    }),
  };
}

function childrenOf(node: Node): Node[] {
  const children: Node[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling) children.push(child);
  return children;
}
