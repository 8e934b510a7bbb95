import { stringify, wellFormed } from './bytes.js';

/** What a tool answers, where more is to be said than a value. */
export class Reply {
  content = [];
  structured = undefined;
  isError = false;
  undoToken = undefined;
  meta = undefined;

  /** What a tool returned: a text is a text, nothing is nothing, anything else is the structured result. */
  static of(value) {
    const reply = new Reply();
    if (typeof value === 'string') return reply.text(value);
    reply.structured = value;
    return reply;
  }

  /** The tool ran, and answers "no". */
  static error(text) {
    const reply = new Reply().text(text);
    reply.isError = true;
    return reply;
  }

  /** For people and models. */
  text(text) {
    return this.#with('text', wellFormed(String(text)));
  }

  /** @param {Uint8Array} data */
  image(data, mimeType) {
    return this.#with('image', { data, mimeType });
  }

  /** @param {Uint8Array} data */
  audio(data, mimeType) {
    return this.#with('audio', { data, mimeType });
  }

  /** A resource that the client may read. */
  link({ uri, name, title = null, description = null, mimeType = null, size = null, icons }) {
    return this.#with('resource-link', { uri, name, title, description, mimeType, size, icons: json(icons) });
  }

  /** For programs: any JSON value. */
  json(value) {
    this.structured = value;
    return this;
  }

  /** What `undo` needs to take the call back. */
  undoable(token) {
    this.undoToken = token;
    return this;
  }

  #with(tag, val) {
    this.content.push({ content: { tag, val }, annotations: null, meta: null });
    return this;
  }

  toWit() {
    return {
      content: this.content,
      structured: json(this.structured),
      isError: this.isError,
      undoToken: json(this.undoToken),
      meta: json(this.meta),
    };
  }
}

function json(value) {
  return value === undefined ? null : stringify(value);
}
