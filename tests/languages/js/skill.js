// What a skill does in every language: tests/skills/behaves says it in Rust.
import { Failure, Reply, ask, host, log, skill } from '@skillhost/sdk';

const string = { type: 'string' };
const object = (properties) => ({ type: 'object', properties, required: Object.keys(properties) });

const failures = {
  'invalid-input': () => Failure.invalidInput('as told'),
  transient: () => Failure.transient('as told', 1500),
  permanent: () => Failure.permanent('as told'),
  conflict: () => Failure.conflict('as told'),
  'missing-capability': () => Failure.missingCapability('roots'),
};

let calls = 0;
export const { tools, undo } = skill({
  echo: {
    description: 'Gives back what it is given.', readOnly: true, input: object({ value: {} }),
    run: ({ value }) => ({ value }),
  },
  say: { description: 'Says a text.', readOnly: true, input: object({ text: string }), run: ({ text }) => text },
  fail: {
    description: 'Fails as it is told to.', input: object({ kind: string }),
    run({ kind }) {
      if (kind === 'no') return Reply.error('as told');
      throw failures[kind]?.() ?? new Error('as told');
    },
  },
  steps: {
    description: 'Tells how far it is.', readOnly: true, input: object({ count: { type: 'integer' } }),
    run({ count }) {
      for (let step = 1; step <= count; step += 1) host.progress(step, count, `step ${step}`);
      return 'done';
    },
  },
  setting: {
    description: 'Tells a setting.', readOnly: true, input: object({ key: string }),
    run: ({ key }) => ({ value: host.config(key) ?? null }),
  },
  put: {
    description: 'Keeps a value.', input: object({ key: string, value: string }),
    run({ key, value }) {
      host.prepareUndo(host.store.get(key) ?? null);
      host.store.set(key, value);
    },
    undo({ key }, { token }) {
      if (token === undefined) return;
      if (token === null) host.store.delete(key);
      else host.store.set(key, token);
    },
  },
  get: {
    description: 'Tells a value.', readOnly: true, input: object({ key: string }),
    run: ({ key }) => ({ value: host.store.get(key) ?? null }),
  },
  ask: {
    description: 'Asks the person.', readOnly: true,
    run(_, ctx) {
      const { content } = ask.form(ctx, 'sure', 'Sure?', object({ sure: { type: 'boolean' } }));
      return `sure: ${content.sure}`;
    },
  },
  relay: {
    description: 'Calls another tool.', input: object({ tool: string, args: { type: 'object' } }),
    run: ({ tool, args }) => ({ value: host.call(tool, args) }),
  },
  served: {
    description: 'Counts the calls that this instance has served.', readOnly: true, reusable: true,
    input: object({ garbage: { type: 'integer' } }),
    run({ garbage }) {
      new Uint8Array(garbage).fill(1);
      calls += 1;
      return String(calls);
    },
  },
  note: {
    description: 'Writes a line of the log.', readOnly: true, input: object({ text: string }),
    run: ({ text }) => log.warn(text),
  },
});
