/** A JSON Schema 2020-12: what is literal in it types the arguments. */
export type Schema = { readonly [keyword: string]: unknown };

/** What matches a schema, as far as its literal types tell. */
export type Static<S> = S extends { readonly const: infer T } ? T
  : S extends { readonly enum: readonly (infer T)[] } ? T
  : S extends { readonly type: 'string' } ? string
  : S extends { readonly type: 'number' | 'integer' } ? number
  : S extends { readonly type: 'boolean' } ? boolean
  : S extends { readonly type: 'null' } ? null
  : S extends { readonly type: 'array'; readonly items: infer I } ? Static<I>[]
  : S extends { readonly type: 'object'; readonly properties: infer P } ? Members<P, Required<S>>
  : any;

type Required<S> = S extends { readonly required: readonly (infer K)[] } ? K : never;
type Members<P, K> = { [N in keyof P as N extends K ? N : never]: Static<P[N]> }
  & { [N in keyof P as N extends K ? never : N]?: Static<P[N]> };

/** Who calls, and what is known of the call. */
export interface Context {
  /** The same over all attempts of a call, its rounds and its replay: an idempotency key for services that you call. */
  readonly callId: string;
  readonly correlationId: string;
  /** 1 for the first. */
  readonly attempt: number;
  /** Until the host ends the call. */
  readonly timeLeftMs: number;
  /** `local` for a client on this machine. */
  readonly caller: string;
  readonly client: {
    readonly elicitationForm: boolean;
    readonly elicitationUrl: boolean;
    readonly sampling: boolean;
    readonly samplingTools: boolean;
    readonly roots: boolean;
    /** Listens to `host.progress`. */
    readonly progress: boolean;
  };
  /** The request's own `_meta`. */
  readonly meta?: { readonly [key: string]: unknown };
  /** 1 until something was asked. */
  readonly round: number;
  /** For `ask`. */
  readonly answers: { readonly [key: string]: unknown };
}

/** A tool. */
export interface Tool<I = Schema> {
  /** What it does and when to use it: this is what a model reads. */
  description: string;
  /** A name for people. */
  title?: string;
  /** Of an object. Without it the tool takes nothing. */
  input?: I;
  /** Of the structured result, which the host holds against it. */
  output?: Schema;
  /** Changes nothing. */
  readOnly?: boolean;
  /** May destroy or overwrite. */
  destructive?: boolean;
  /** A second call with the same arguments has no further effect. */
  idempotent?: boolean;
  /** Deals with things outside a closed world, such as the web. */
  openWorld?: boolean;
  /** A call must be carried out, also when its first attempts fail. */
  durable?: boolean;
  /** It bears an instance that has served other calls, of whoever they were; where the operator sets `reuse_calls`. */
  reusable?: boolean;
  /** Whether a call may run as a task; `no` when nothing is said. */
  task?: 'no' | 'optional' | 'required' | 'answered';
  icons?: unknown[];
  meta?: { [key: string]: unknown };
  /** A text is the answer's text, nothing is nothing, anything else is the structured result. A Failure is thrown. */
  run(args: Static<I>, ctx: Context): unknown;
  /** Take back what a call did. It may run more than once; without a token the call may never have begun. */
  undo?(args: Static<I>, how: { token?: any; force: boolean }, ctx: Context): void;
}

/** What a module exports to be a skill. */
export interface Exported {
  tools: object;
  undo: object;
}

/** A definition whose arguments are typed by its schema: `skill({ greet: tool({ … }) })`. */
export function tool<const I extends Schema>(tool: Tool<I>): Tool<any>;

/** `export const { tools, undo } = skill({ … })` */
export function skill(tools: { [name: string]: Tool<any> }): Exported;

/** A call that failed, with the promise that nothing took effect. */
export class Failure extends Error {
  readonly kind: string;
  readonly value: unknown;
  static invalidInput(message: string): Failure;
  static transient(message: string, retryAfterMs?: number): Failure;
  static permanent(message: string): Failure;
  static conflict(message: string): Failure;
  static missingCapability(...features: string[]): Failure;
}

/** Why the host did not do what was asked. */
export class HostError extends Error {
  readonly kind: string;
}

/** What a tool answers, where more is to be said than a value. */
export class Reply {
  /** The tool ran, and answers "no". */
  static error(text: string): Reply;
  text(text: string): this;
  image(data: Uint8Array, mimeType: string): this;
  audio(data: Uint8Array, mimeType: string): this;
  link(link: { uri: string; name: string; title?: string; description?: string; mimeType?: string; size?: number; icons?: unknown[] }): this;
  /** The structured result. */
  json(value: unknown): this;
  /** What `undo` needs to take the call back. */
  undoable(token: unknown): this;
  isError: boolean;
  meta?: { [key: string]: unknown };
}

export namespace host {
  /** How far the call is. `done` must grow. */
  function progress(done: number, total?: number, message?: string): void;
  /** Whether the client gave up on the call. */
  function cancelled(): boolean;
  /** Keep what `undo` needs, before the first effect. It is on disk when this returns. */
  function prepareUndo(token: unknown): void;
  /** Call another skill's tool, where that is granted: its structured result, else its text. */
  function call<T = any>(tool: string, args?: object): T;
  /** A setting that the operator gave. */
  function config(key: string): string | undefined;
  function allConfig(): { [key: string]: string };
  /** A secret that was granted. */
  function secret(name: string): string;
  function toolsChanged(): void;
  function promptsChanged(): void;
  function resourcesChanged(): void;
  function resourceUpdated(uri: string): void;
  /** The skill's own values, which stay over calls and restarts. */
  const store: {
    get(key: string): string | undefined;
    set(key: string, value: string): void;
    delete(key: string): void;
    has(key: string): boolean;
    keys(): string[];
  };
}

type Say = (...parts: unknown[]) => void;
/** Lines of the host's log, with the call they belong to. `console` does the same. */
export const log: { trace: Say; debug: Say; info: Say; warn: Say; error: Say };

/** Questions to the person, the client's model, or the client. The function runs again with the answers: ask before you act. */
export namespace ask {
  type Form<T> = { action: 'accept'; content: T } | { action: 'decline' | 'cancel'; content?: undefined };
  type Question = { tag: string; val?: unknown };
  function form<const S extends Schema>(ctx: Context, key: string, message: string, schema: S): Form<Static<S>>;
  function url(ctx: Context, key: string, message: string, url: string): { action: 'accept' | 'decline' | 'cancel' };
  function sample(ctx: Context, key: string, request: object): any;
  function roots(ctx: Context, key?: string): { uri: string; name: string | null }[];
  /** Several at once, by their keys. */
  function all(ctx: Context, questions: { [key: string]: Question }): { [key: string]: any };
  const questions: {
    form(message: string, schema: Schema): Question;
    url(message: string, url: string, id: string): Question;
    sample(request: object): Question;
    roots(): Question;
  };
}
