// What a skill does in every language: tests/skills/behaves says it in Rust.
import { Failure, Reply, ask, host, log, skill, tool } from '@skillhost/sdk';

const text = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] } as const;
const key = { type: 'object', properties: { key: { type: 'string' } }, required: ['key'] } as const;

const failures: { [kind: string]: () => Failure } = {
  'invalid-input': () => Failure.invalidInput('as told'),
  transient: () => Failure.transient('as told', 1500),
  permanent: () => Failure.permanent('as told'),
  conflict: () => Failure.conflict('as told'),
  'missing-capability': () => Failure.missingCapability('roots'),
};

let calls = 0;
export const { tools, undo } = skill({
  echo: tool({
    description: 'Gives back what it is given.',
    readOnly: true,
    input: { type: 'object', properties: { value: {} }, required: ['value'] },
    run: ({ value }) => ({ value }),
  }),
  say: tool({ description: 'Says a text.', readOnly: true, input: text, run: (args): string => args.text }),
  fail: tool({
    description: 'Fails as it is told to.',
    input: { type: 'object', properties: { kind: { type: 'string' } }, required: ['kind'] },
    run({ kind }) {
      if (kind === 'no') return Reply.error('as told');
      throw failures[kind]?.() ?? new Error('as told');
    },
  }),
  steps: tool({
    description: 'Tells how far it is.',
    readOnly: true,
    input: { type: 'object', properties: { count: { type: 'integer' } }, required: ['count'] },
    run({ count }) {
      for (let step = 1; step <= count; step += 1) host.progress(step, count, `step ${step}`);
      return 'done';
    },
  }),
  setting: tool({
    description: 'Tells a setting.',
    readOnly: true,
    input: key,
    run: (args) => ({ value: host.config(args.key) ?? null }),
  }),
  put: tool({
    description: 'Keeps a value.',
    input: {
      type: 'object',
      properties: { key: { type: 'string' }, value: { type: 'string' } },
      required: ['key', 'value'],
    },
    run({ key, value }) {
      host.prepareUndo(host.store.get(key) ?? null);
      host.store.set(key, value);
    },
    undo({ key }, { token }: { token?: string | null }) {
      if (token === undefined) return;
      if (token === null) host.store.delete(key);
      else host.store.set(key, token);
    },
  }),
  get: tool({
    description: 'Tells a value.',
    readOnly: true,
    input: key,
    run: (args) => ({ value: host.store.get(args.key) ?? null }),
  }),
  ask: tool({
    description: 'Asks the person.',
    readOnly: true,
    run(_, ctx) {
      const schema = { type: 'object', properties: { sure: { type: 'boolean' } }, required: ['sure'] } as const;
      const answer = ask.form(ctx, 'sure', 'Sure?', schema);
      return `sure: ${answer.content?.sure}`;
    },
  }),
  relay: tool({
    description: 'Calls another tool.',
    input: { type: 'object', properties: { tool: { type: 'string' }, args: { type: 'object' } }, required: ['tool', 'args'] },
    run: ({ tool, args }) => ({ value: host.call(tool, args) }),
  }),
  served: tool({
    description: 'Counts the calls that this instance has served.',
    readOnly: true,
    reusable: true,
    input: { type: 'object', properties: { garbage: { type: 'integer' } }, required: ['garbage'] },
    run({ garbage }) {
      new Uint8Array(garbage).fill(1);
      calls += 1;
      return String(calls);
    },
  }),
  note: tool({
    description: 'Writes a line of the log.',
    readOnly: true,
    input: text,
    run: (args) => log.warn(args.text),
  }),
});
