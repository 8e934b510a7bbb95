import { Asked } from './ask.js';
import { text } from './bytes.js';
import { Failure } from './failure.js';
import { HostError, effects } from './host.js';
import { Reply } from './reply.js';

const NOTHING = { type: 'object', additionalProperties: false };
const KEYS = [
  'description', 'title', 'input', 'output', 'readOnly', 'destructive', 'idempotent', 'openWorld', 'durable', 'reusable', 'task',
  'icons', 'meta', 'run', 'undo',
];
const TASKS = ['no', 'optional', 'required', 'answered'];

/**
 * What a module exports to be a skill: `export const { tools, undo } = skill({ … })`.
 *
 * It runs when the component is built: what is wrong in a definition ends the build.
 */
export function skill(definitions) {
  const all = Object.entries(definitions);
  if (all.length === 0) throw new Error('a skill has at least one tool');
  const specs = all.map(([name, tool]) => spec(name, tool));
  const find = (name) => {
    if (!Object.hasOwn(definitions, name)) throw Failure.permanent(`there is no tool ${name}`).toWit();
    return definitions[name];
  };
  return {
    tools: {
      list: () => specs,
      call: (ctx, name, args) => {
        const tool = find(name);
        return told(() => outcome(tool.run(parsed(args) ?? {}, context(ctx))));
      },
    },
    undo: {
      undo: (ctx, name, args, token, force) => {
        const tool = find(name);
        if (!tool.undo) throw Failure.permanent(`${name} takes nothing back`).toWit();
        const outcome = told(() => settled(tool.undo(parsed(args) ?? {}, { token: parsed(token), force }, context(ctx))));
        if (outcome?.tag === 'input-required') {
          throw Failure.permanent('nobody can be asked while a call is taken back').toWit();
        }
      },
    },
  };
}

/** A definition as it is; for TypeScript it types the arguments. */
export const tool = (definition) => definition;

function spec(name, tool) {
  const wrong = (what) => new Error(`the tool ${name}: ${what}`);
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name)) throw wrong('a name has 1 to 64 characters of A-Z a-z 0-9 _ -');
  // It is all that a model knows of it.
  if (!tool.description?.trim()) throw wrong('it has no description');
  if (typeof tool.run !== 'function') throw wrong('it has no run');
  if (tool.run.constructor.name === 'AsyncFunction') throw wrong('run is an async function; nothing here needs to be awaited');
  const unknown = Object.keys(tool).find((key) => !KEYS.includes(key));
  if (unknown) throw wrong(`there is no ${unknown}; there are ${KEYS.join(', ')}`);
  if (tool.undo !== undefined && typeof tool.undo !== 'function') throw wrong('undo is no function');
  if (tool.task !== undefined && !TASKS.includes(tool.task)) throw wrong(`task is one of ${TASKS.join(', ')}`);
  const input = tool.input ?? NOTHING;
  if (input.type !== 'object') throw wrong('the schema of its input is that of an object');
  return {
    name,
    title: tool.title ?? null,
    description: tool.description,
    inputSchema: JSON.stringify(input),
    outputSchema: json(tool.output),
    annotations: {
      readOnly: tool.readOnly ?? null,
      destructive: tool.destructive ?? null,
      idempotent: tool.idempotent ?? null,
      openWorld: tool.openWorld ?? null,
    },
    undoable: tool.undo !== undefined,
    durable: tool.durable ?? false,
    task: tool.task ?? 'no',
    icons: json(tool.icons),
    meta: json(tool.reusable ? { ...tool.meta, 'skillhost/reusable': true } : tool.meta),
  };
}

/** Run it; what it throws as the contract words it. Anything but a failure says that nobody knows what took effect. */
function told(run) {
  effects.any = false;
  try {
    return run();
  } catch (error) {
    if (error instanceof Asked) return { tag: 'input-required', val: error.toWit() };
    if (error instanceof Failure) throw error.toWit();
    throw refused(error)?.toWit() ?? error;
  }
}

/** What the host refused did not happen, and neither did the call, as long as it has changed nothing before. */
function refused(error) {
  if (!(error instanceof HostError) || error.kind === 'ended' || effects.any) return undefined;
  return error.kind === 'unavailable' ? Failure.transient(error.message) : Failure.permanent(error.message);
}

function settled(value) {
  if (typeof value?.then === 'function') {
    throw new Error('a tool is no async function: nothing here needs to be awaited');
  }
  return value;
}

function outcome(value) {
  const result = settled(value);
  const reply = result instanceof Reply ? result : Reply.of(result);
  return { tag: 'reply', val: reply.toWit() };
}

function context(ctx) {
  const { round, meta, ...rest } = ctx;
  const answers = round?.answers.map(({ key, value }) => [key, answer(value)]) ?? [];
  const known = round?.state ? JSON.parse(text(round.state)) : {};
  return Object.freeze({
    ...rest,
    meta: parsed(meta),
    answers: { ...known, ...Object.fromEntries(answers) },
    round: round?.number ?? 1,
  });
}

function answer({ tag, val }) {
  if (tag === 'elicited') return { action: val.action, content: parsed(val.content) };
  return tag === 'sampled' ? JSON.parse(val) : val;
}

function parsed(json) {
  return json == null ? undefined : JSON.parse(json);
}

function json(value) {
  return value === undefined ? null : JSON.stringify(value);
}

