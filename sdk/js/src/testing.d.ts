import type { Exported, Failure, Reply } from './index.js';

/** A host for unit tests under Node, and the client before it. Each one made begins anew. */
export class Host {
  constructor(
    skill: Partial<Exported>,
    options?: {
      config?: { [key: string]: string };
      secrets?: { [name: string]: string };
      /** The skill's own values. */
      values?: { [key: string]: string };
      /** Other skills' tools, by their full names. */
      tools?: { [name: string]: (args: any) => Reply | Failure | unknown };
    },
  );
  readonly progress: { progress: number; total: number | null; message: string | null }[];
  readonly log: { level: string; message: string }[];
  readonly calls: { name: string; args: any }[];
  /** The token that was kept last. */
  readonly prepared: any;
  readonly changed: string[];
  readonly values: { [key: string]: string };
  /** The client gives up. */
  cancel(): void;
  /** What the client answers, by the keys of questions. */
  answers(answers: { [key: string]: any }): this;
  /** Failures are thrown. */
  call(tool: string, args?: object): { text: string; structured?: any; isError: boolean; undoToken?: any; content: object[] };
  undo(tool: string, args: object, token?: unknown, how?: { force?: boolean }): void;
}
