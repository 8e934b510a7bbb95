import { wellFormed } from './bytes.js';

/** What may be in a failure, without halves of characters. */
function sound(value) {
  if (typeof value === 'string') return wellFormed(value);
  return Array.isArray(value) ? value.map(wellFormed) : { ...value, message: wellFormed(value.message) };
}

/** A call that failed. It promises that nothing took effect; anything else that is thrown says that nobody knows. */
export class Failure extends Error {
  /** @param {string} kind @param {unknown} value */
  constructor(kind, value) {
    super(typeof value === 'string' ? value : (value.message ?? String(value)));
    this.name = 'Failure';
    this.kind = kind;
    this.value = value;
  }

  /** The arguments are wrong. The message says which, and what is expected. */
  static invalidInput(message) {
    return new Failure('invalid-input', message);
  }

  /** It may pass; `retryAfterMs` says when, if that is known. */
  static transient(message, retryAfterMs) {
    return new Failure('transient', { message, retryAfterMs: retryAfterMs ?? null });
  }

  /** Trying again will not help. */
  static permanent(message) {
    return new Failure('permanent', message);
  }

  /** The world is not as the call, or the undo, expected it. */
  static conflict(message) {
    return new Failure('conflict', message);
  }

  /** The client lacks these features. */
  static missingCapability(...features) {
    return new Failure('missing-capability', features);
  }

  /** As the contract has it. */
  toWit() {
    return { tag: this.kind, val: sound(this.value) };
  }

  /** @param {{tag: string, val: unknown}} failure */
  static fromWit({ tag, val }) {
    return new Failure(tag, val);
  }
}
