import assert from 'node:assert/strict';
import test from 'node:test';

import { Failure, Reply, ask, host, log, skill } from '@skillhost/sdk';
import { Host } from '@skillhost/sdk/testing';

const any = { type: 'object' };
const tool = (run, more = {}) => ({ description: 'For tests.', input: any, run, ...more });
const only = (run, more) => skill({ it: tool(run, more) });

test('a definition is told as the contract has it', () => {
  const { tools } = skill({
    it: {
      title: 'It', description: 'Does it.', readOnly: true, durable: true, task: 'optional',
      output: { type: 'object' }, run: () => ({}),
    },
  });
  assert.deepEqual(tools.list(), [{
    name: 'it', title: 'It', description: 'Does it.',
    inputSchema: '{"type":"object","additionalProperties":false}', outputSchema: '{"type":"object"}',
    annotations: { readOnly: true, destructive: null, idempotent: null, openWorld: null },
    undoable: false, durable: true, task: 'optional', icons: null, meta: null,
  }]);
});

test('what bears a used instance says so', () => {
  const meta = (more) => skill({ it: tool(() => {}, more) }).tools.list()[0].meta;
  assert.equal(meta({ reusable: true, meta: { a: 1 } }), '{"a":1,"skillhost/reusable":true}');
  assert.equal(meta({ reusable: false }), null);
});

test('what is wrong in a definition ends the build', () => {
  const run = () => {};
  for (const [definitions, said] of [
    [{}, /at least one/],
    [{ 'a b': tool(run) }, /1 to 64 characters/],
    [{ a: { run } }, /no description/],
    [{ a: { description: 'x' } }, /no run/],
    [{ a: tool(run, { undo: true }) }, /undo is no function/],
    [{ a: tool(async () => {}) }, /async/],
    [{ a: tool(run, { readonly: true }) }, /there is no readonly; there are description/],
    [{ a: tool(run, { task: 'always' }) }, /task is one of/],
    [{ a: tool(run, { input: { type: 'string' } }) }, /that of an object/],
  ]) {
    assert.throws(() => skill(definitions), said);
  }
});

test('what a tool returns is its reply', () => {
  const call = (run, args) => {
    const { text, structured, isError } = new Host(only(run)).call('it', args);
    return { text, structured, isError };
  };
  assert.deepEqual(call(() => 'a'), { text: 'a', structured: undefined, isError: false });
  assert.deepEqual(call(() => {}), { text: '', structured: undefined, isError: false });
  assert.deepEqual(call((args) => args, { 'ü🧀': [1, null] }), { text: '', structured: { 'ü🧀': [1, null] }, isError: false });
  assert.deepEqual(call(() => Reply.error('no')), { text: 'no', structured: undefined, isError: true });
  assert.deepEqual(call(() => new Reply().text('a').json(1)), { text: 'a', structured: 1, isError: false });
  assert.throws(() => call(() => Promise.resolve(1)), /no async function/);
  const cut = '123😀'.slice(0, 4);
  assert.equal(call(() => `${cut}…`).text, '123\ufffd…');
  assert.deepEqual(call(() => ({ cut, whole: '😀\\ud83d' })).structured, { cut: '123\ufffd', whole: '😀\\ud83d' });
});

test('each kind of failure is itself', () => {
  for (const failure of [
    Failure.invalidInput('a'), Failure.transient('a'), Failure.transient('a', 500), Failure.permanent('a'),
    Failure.conflict('a'), Failure.missingCapability('roots', 'sampling'),
  ]) {
    const { tools } = only(() => { throw failure; });
    assert.throws(() => tools.call({ round: null }, 'it', null), (thrown) => {
      assert.deepEqual(thrown, { tag: failure.kind, val: failure.value });
      return true;
    });
  }
  assert.throws(() => new Host(only(() => host.secret('s'))).call('it'), { kind: 'permanent', message: 'the secret s was not granted' });
  // After an effect nobody knows what took effect, whatever is refused then.
  const half = only(() => { host.store.set('k', 'v'); host.secret('s'); });
  assert.throws(() => new Host(half).call('it'), { name: 'HostError', kind: 'denied' });
  assert.throws(() => new Host(only(() => null.x)).call('it'), TypeError);
});

test('the host is there', () => {
  const use = only(() => {
    host.progress(1, 2, 'half');
    log.warn('a', { b: 1 }, new Error('c'));
    host.store.set('k', 'ü'.repeat(10_000));
    const error = (run) => { try { return run(); } catch (thrown) { return [thrown.kind, thrown.message]; } };
    return {
      config: [host.config('a'), host.config('b') ?? null, host.allConfig()],
      secret: [host.secret('s'), error(() => host.secret('t'))],
      store: [host.store.get('k').length, host.store.get('other') ?? null, host.store.has('k'), host.store.keys()],
      cancelled: host.cancelled(),
      called: [host.call('other_json', { a: 1 }), host.call('other_text'), error(() => host.call('other_fails')),
        error(() => host.call('other_no')), error(() => host.call('missing_tool'))],
    };
  });
  const made = new Host(use, {
    config: { a: '1' },
    secrets: { s: 'hidden' },
    tools: {
      other_json: (args) => ({ got: args }),
      other_text: () => 'text',
      other_fails: () => Failure.conflict('changed'),
      other_no: () => Reply.error('not today'),
    },
  });
  made.cancel();
  const { structured } = made.call('it');
  assert.deepEqual(structured, {
    config: ['1', null, { a: '1' }],
    secret: ['hidden', ['denied', 'the secret t was not granted']],
    store: [10_000, null, true, ['k']],
    cancelled: true,
    called: [{ got: { a: 1 } }, 'text', ['conflict', 'changed'], ['permanent', 'other_no answers no: not today'],
      ['denied', 'the test has no tool missing_tool']],
  });
  assert.deepEqual(made.progress, [{ progress: 1, total: 2, message: 'half' }]);
  assert.equal(made.log[0].level, 'warn');
  assert.match(made.log[0].message, /^a \{"b":1\} Error: c/);
});

test('a call is taken back by its token', () => {
  const { tools, undo } = only(
    ({ value }) => {
      const was = host.store.get('k') ?? null;
      host.prepareUndo({ was });
      host.store.set('k', value);
    },
    { undo: (args, { token, force }) => {
      if (force) throw Failure.conflict('forced');
      if (token === undefined || token.was === null) host.store.delete('k');
      else host.store.set('k', token.was);
    } },
  );
  assert.equal(tools.list()[0].undoable, true);
  const made = new Host({ tools, undo }, { values: { k: 'before' } });
  const { undoToken } = made.call('it', { value: 'after' });
  assert.deepEqual([made.values.k, undoToken], ['after', { was: 'before' }]);
  made.undo('it', { value: 'after' }, undoToken);
  assert.equal(made.values.k, 'before');
  made.undo('it', {}, undefined);
  assert.equal(made.values.k, undefined);
  assert.throws(() => made.undo('it', {}, null, { force: true }), { kind: 'conflict' });
});

test('nobody is asked while a call is taken back', () => {
  const asks = only(() => {}, { undo: (_, __, ctx) => ask.roots(ctx) });
  assert.throws(() => new Host(asks).answers({ roots: [] }).undo('it', {}), { kind: 'missing-capability' });
  const ctx = { client: { roots: true }, round: null };
  assert.throws(() => asks.undo.undo(ctx, 'it', null, null, false), (thrown) => thrown.tag === 'permanent');
});

test('questions are asked, and what was answered is remembered', () => {
  let rounds = 0;
  const asks = only((_, ctx) => {
    rounds += 1;
    const { action, content } = ask.form(ctx, 'sure', 'Sure?', { type: 'object' });
    const [root] = ask.roots(ctx);
    const said = ask.sample(ctx, 'model', { messages: [], maxTokens: 1 });
    return { action, content, root: root.uri, said: said.model, round: ctx.round };
  });
  const answers = { sure: { content: { yes: true } }, roots: [{ uri: 'file:///a', name: null }], model: { model: 'm' } };
  const { structured } = new Host(asks).answers(answers).call('it');
  assert.deepEqual(structured, { action: 'accept', content: { yes: true }, root: 'file:///a', said: 'm', round: 4 });
  assert.equal(rounds, 4);
  assert.throws(() => new Host(asks).call('it'), { kind: 'missing-capability', value: ['elicitation'] });
});

test('several questions take one round', () => {
  const asks = only((_, ctx) => {
    const { form, roots } = ask.questions;
    const got = ask.all(ctx, { a: form('A?', {}), b: roots() });
    return { a: got.a.action, b: got.b.length, round: ctx.round };
  });
  const { structured } = new Host(asks).answers({ a: { action: 'decline' }, b: [] }).call('it');
  assert.deepEqual(structured, { a: 'decline', b: 0, round: 2 });
});

test('texts are UTF-8 without an encoder', async () => {
  const { bytes, text } = await import('../src/bytes.js');
  for (const said of ['', 'aü🧀\0', 'x'.repeat(100_000) + '🧀']) {
    assert.deepEqual(bytes(said), new TextEncoder().encode(said));
    assert.equal(text(bytes(said)), said);
  }
  assert.throws(() => text(new Uint8Array([0xff])), URIError);
});
