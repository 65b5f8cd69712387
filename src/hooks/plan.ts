import type { Verify } from './signature.ts';
import type { Template } from './template.ts';

/** A hook as the configuration declares it. */
export interface HookPlan {
  readonly name: string;
  readonly verify: Verify;
  /** Whether its secret is the end of the path. */
  readonly isInPath: boolean;
  /** Whether a request may only ask whether somebody is there. */
  readonly asksFirst: boolean;
  /** The topics and patterns that it may publish to. */
  readonly publish: readonly string[];
  readonly topic: Template;
  readonly event: Template | undefined;
  readonly key: Template | undefined;
  /** Where the array is whose elements become messages; undefined where a request is one message. Tokens of a JSON pointer. */
  readonly each: readonly string[] | undefined;
  /** Seconds; 0 where messages do not expire. */
  readonly ttl: number;
}
