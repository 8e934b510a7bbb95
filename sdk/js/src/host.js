import * as world from '#world';
import { Failure } from './failure.js';
import { bytes, text, wellFormed } from './bytes.js';

/** Why the host, or another tool, did not do what was asked. */
export class HostError extends Error {
  /** @param {string} kind `not-offered`, `denied`, `invalid`, `unavailable`, `ended`, or what an interface of WASI says */
  constructor(kind, message) {
    super(message ?? kind);
    this.name = 'HostError';
    this.kind = kind;
  }
}

/** Whether this call has changed something that the host knows of: what is refused after that did not leave all as it was. */
export const effects = { any: false };

/** Call the host; what it does is an effect of this call. */
function changing(call) {
  const result = asked(call);
  effects.any = true;
  return result;
}

/** Call the host; errors of its interfaces become errors of JavaScript. */
export function asked(call) {
  try {
    return call();
  } catch (error) {
    const payload = error?.payload;
    if (payload === undefined) throw error;
    throw problem(payload);
  }
}

function problem(payload) {
  if (typeof payload === 'string') return new HostError(payload);
  const { tag, val } = payload;
  if (tag === 'refused') return problem(val);
  if (tag === 'failed') return Failure.fromWit(val);
  return new HostError(tag, typeof val === 'string' ? val : undefined);
}

/** How far the call is. `done` must grow. Cheap: the host passes on as many as the client can take. */
export function progress(done, total, message) {
  world.host.progress(done, total ?? null, message == null ? null : wellFormed(message));
}

/** Whether the client gave up on the call: a good place to stop. */
export const cancelled = () => world.host.cancelled();

/** Keep what `undo` needs, before the first effect. It is on disk when this returns. */
export const prepareUndo = (token) => changing(() => world.host.prepareUndo(JSON.stringify(token)));

/**
 * Call another skill's tool by its full name, where that is granted: its structured result, else its text. Its failure is
 * thrown, and so is an answer of "no".
 */
export function call(tool, args) {
  const reply = callForReply(tool, args);
  const said = reply.content.filter((block) => block.content.tag === 'text').map((block) => block.content.val);
  if (reply.isError) throw Failure.permanent(`${tool} answers no: ${said.join('\n')}`);
  return reply.structured === null ? said.join('\n') : JSON.parse(reply.structured);
}

/** The same, with all that it replies. */
export const callForReply = (tool, args) =>
  changing(() => world.host.callTool(tool, args === undefined ? null : JSON.stringify(args)));

/** The tools have changed: the host lists them anew after the call. */
export const toolsChanged = () => asked(() => world.host.toolsChanged());
export const promptsChanged = () => asked(() => world.host.promptsChanged());
export const resourcesChanged = () => asked(() => world.host.resourcesChanged());
export const resourceUpdated = (uri) => asked(() => world.host.resourceUpdated(uri));

/** A setting that the operator gave; undefined where there is none. */
export const config = (key) => asked(() => world.config.get(key)) ?? undefined;

/** All settings. */
export const allConfig = () => Object.fromEntries(asked(() => world.config.getAll()));

/** A secret that was granted. The host keeps it out of logs and replies. */
export const secret = (name) => asked(() => world.secrets.get(name));

/** The skill's own values, which stay over calls and restarts. Texts; what else is to be kept is written as JSON. */
export const store = {
  get(key) {
    const found = bucket((bucket) => bucket.get(key));
    return found == null ? undefined : text(found);
  },
  set: (key, value) => bucket((bucket) => bucket.set(key, bytes(value)), changing),
  delete: (key) => bucket((bucket) => bucket.delete(key), changing),
  has: (key) => bucket((bucket) => bucket.exists(key)),
  keys() {
    return bucket((bucket) => {
      const all = [];
      let cursor = null;
      do {
        const page = bucket.listKeys(cursor);
        all.push(...page.keys);
        cursor = page.cursor;
      } while (cursor != null);
      return all;
    });
  },
};

function bucket(use, calling = asked) {
  return calling(() => use(world.keyvalue.open('')));
}

/** Lines of the host's log, with the call they belong to. */
export const log = Object.fromEntries(
  ['trace', 'debug', 'info', 'warn', 'error'].map((level) => [
    level,
    (...parts) => world.logging.log(level, '', wellFormed(parts.map(said).join(' '))),
  ]),
);

function said(part) {
  if (typeof part === 'string') return part;
  if (part instanceof Error) return part.stack ? `${part}\n${part.stack}` : String(part);
  try {
    return JSON.stringify(part) ?? String(part);
  } catch {
    return String(part);
  }
}
