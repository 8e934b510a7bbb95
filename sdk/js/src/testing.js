import { text, bytes } from './bytes.js';
import { Failure } from './failure.js';
import { Reply } from './reply.js';
import { reset, state } from './fake.js';

/**
 * A host for unit tests under Node, and the client before it. Each one made begins anew; what the skill did is in `progress`,
 * `log`, `calls`, `prepared` and `changed`.
 */
export class Host {
  #skill;
  #answers = {};

  /** @param skill what `skill()` gave @param options config, secrets, values, and tools of other skills as functions */
  constructor(skill, { config = {}, secrets = {}, values = {}, tools = {} } = {}) {
    this.#skill = skill;
    reset();
    Object.assign(state, { config, secrets, tools: mapped(tools, (tool) => (args) => replied(tool(args))) });
    for (const [key, value] of Object.entries(values)) state.values.set(key, bytes(value));
  }

  get progress() { return state.progress; }
  get log() { return state.log; }
  get calls() { return state.calls; }
  get prepared() { return state.prepared; }
  get changed() { return state.changed; }

  /** The skill's values as texts. */
  get values() {
    return Object.fromEntries([...state.values].map(([key, value]) => [key, text(value)]));
  }

  /** From now on `host.cancelled()` says yes. */
  cancel() {
    state.cancelled = true;
  }

  /** What the client answers, by the keys of questions. Without any it cannot be asked. */
  answers(answers) {
    this.#answers = answers;
    return this;
  }

  /** Call a tool as the host does: what came of it, with the structured result parsed. Failures are thrown. */
  call(tool, args = {}) {
    const outcome = this.#rounds((ctx) => this.#skill.tools.call(ctx, tool, JSON.stringify(args)));
    const { content, structured, isError, undoToken } = outcome;
    const said = content.filter((block) => block.content.tag === 'text').map((block) => block.content.val);
    return {
      text: said.join('\n'),
      structured: structured === null ? undefined : JSON.parse(structured),
      isError,
      undoToken: undoToken === null ? state.prepared : JSON.parse(undoToken),
      content,
    };
  }

  /** Take a call back. */
  undo(tool, args, token, { force = false } = {}) {
    const json = token === undefined ? null : JSON.stringify(token);
    failing(() => this.#skill.undo.undo(context({}), tool, JSON.stringify(args), json, force));
  }

  #rounds(call) {
    let round = null;
    for (let number = 2; ; number += 1) {
      const outcome = failing(() => call({ ...context(this.#answers), round }));
      if (outcome.tag === 'reply') return outcome.val;
      const { questions, state } = outcome.val;
      const answers = questions.map(({ key, ask }) => {
        if (!(key in this.#answers)) throw new Error(`the test has no answer for ${key}`);
        return { key, value: answered(ask, this.#answers[key]) };
      });
      round = { number, state, answers };
    }
  }
}

function context(answers) {
  const can = Object.keys(answers).length > 0;
  return {
    callId: '01900000-0000-7000-8000-000000000000',
    correlationId: 'test',
    attempt: 1,
    timeLeftMs: 30_000,
    caller: 'local',
    client: {
      elicitationForm: can, elicitationUrl: can, sampling: can, samplingTools: can, roots: can, progress: true,
    },
    meta: null,
    round: null,
  };
}

function answered(ask, answer) {
  if (ask.tag === 'sample') return { tag: 'sampled', val: JSON.stringify(answer) };
  if (ask.tag === 'roots') return { tag: 'roots', val: answer };
  const { action = 'accept', content } = answer;
  return { tag: 'elicited', val: { action, content: content === undefined ? null : JSON.stringify(content) } };
}

function failing(call) {
  try {
    return call();
  } catch (error) {
    throw error instanceof Error ? error : Failure.fromWit(error);
  }
}

function replied(value) {
  if (value instanceof Failure) {
    throw Object.assign(new Error(value.message), { payload: { tag: 'failed', val: value.toWit() } });
  }
  return (value instanceof Reply ? value : Reply.of(value)).toWit();
}

function mapped(object, change) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
}
