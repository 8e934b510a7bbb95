import assert from 'node:assert/strict';
import test from 'node:test';

import { Host } from '@skillhost/sdk/testing';
import * as skill from './skill';

test('it greets', () => {
  assert.equal(new Host(skill).call('greet', { name: 'Ada' }).text, 'Hello, Ada!');
});

test('it greets nobody', () => {
  assert.throws(() => new Host(skill).call('greet', { name: ' ' }), { kind: 'invalid-input' });
});
