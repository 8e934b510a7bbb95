import { bytes } from './bytes.js';
import { Failure } from './failure.js';

/** Thrown to end the call with questions: it is made again with the answers, and runs again from its beginning. */
export class Asked extends Error {
  constructor(questions, known) {
    super('the client is asked');
    this.questions = questions;
    this.known = known;
  }

  toWit() {
    return { questions: this.questions, state: bytes(JSON.stringify(this.known)) };
  }
}

/**
 * Ask several things at once: an object of questions by their keys, which are the same in each round. Gives an object of
 * answers once all are there. Ask before you act: what changed something cannot ask any more.
 */
export function all(ctx, questions) {
  const missing = Object.entries(questions).filter(([key]) => !(key in ctx.answers));
  const lacking = missing.map(([, question]) => capability(ctx.client, question)).filter(Boolean);
  if (lacking.length > 0) throw Failure.missingCapability(...new Set(lacking));
  if (missing.length > 0) {
    throw new Asked(
      missing.map(([key, ask]) => ({ key, ask })),
      ctx.answers,
    );
  }
  return Object.fromEntries(Object.keys(questions).map((key) => [key, ctx.answers[key]]));
}

/** A form for a person: `{ action, content }`, where `action` is accept, decline or cancel. */
export const form = (ctx, key, message, schema) => one(ctx, key, questions.form(message, schema));

/** A page for a person to open: `{ action }`. */
export const url = (ctx, key, message, url) => one(ctx, key, questions.url(message, url, `${ctx.callId}/${key}`));

/** The client's model: parameters and result are those of `sampling/createMessage`. */
export const sample = (ctx, key, request) => one(ctx, key, questions.sample(request));

/** The folders the client works in: an array of `{ uri, name }`. */
export const roots = (ctx, key = 'roots') => one(ctx, key, questions.roots());

/** What `all` takes. */
export const questions = {
  form: (message, schema) => ({ tag: 'form', val: { message, schema: JSON.stringify(schema) } }),
  url: (message, url, id) => ({ tag: 'url', val: { message, url, id } }),
  sample: (request) => ({ tag: 'sample', val: JSON.stringify(request) }),
  roots: () => ({ tag: 'roots' }),
};

function one(ctx, key, question) {
  return all(ctx, { [key]: question })[key];
}

/** What the client lacks for it. */
function capability(client, { tag, val }) {
  const tools = tag === 'sample' && 'tools' in JSON.parse(val);
  const [has, name] = {
    form: [client.elicitationForm, 'elicitation'],
    url: [client.elicitationUrl, 'elicitation.url'],
    sample: tools ? [client.samplingTools, 'sampling.tools'] : [client.sampling, 'sampling'],
    roots: [client.roots, 'roots'],
  }[tag];
  return has ? null : name;
}
