/** A message that is being handled, or is done while an earlier one is not. */
interface Task {
  cursor: string;
  isDone: boolean;
}

/**
 * The cursor up to which all messages are done, while several are handled at one time. For example, messages 5, 6 and 7 have begun:
 *
 *     6 is done: `reached` stays at 4, and `ahead` is 3
 *     5 is done: `reached` is 6, and `ahead` is 1
 */
export class Progress {
  readonly #tasks: Task[] = [];
  #reached: string | undefined;

  /** The number of messages begun since the oldest unfinished one, this one included. */
  get ahead(): number {
    return this.#tasks.length;
  }

  /** Every message up to this cursor is done; undefined before the first one is. */
  get reached(): string | undefined {
    return this.#reached;
  }

  /** Begins a message. Call it in the order of the log. @returns A function that marks the message as done. */
  begin(cursor: string): () => void {
    const task: Task = { cursor, isDone: false };
    this.#tasks.push(task);
    return () => {
      task.isDone = true;
      while (this.#tasks[0]?.isDone === true) this.#reached = this.#tasks.shift()!.cursor;
    };
  }

  /** The stream's cursor has moved to here without a message. */
  moved(cursor: string): void {
    const last = this.#tasks.at(-1);
    // If the last task is done, move its cursor: otherwise each heartbeat would add a task while an earlier message is unfinished.
    if (last?.isDone === true) last.cursor = cursor;
    else this.begin(cursor)();
  }
}
