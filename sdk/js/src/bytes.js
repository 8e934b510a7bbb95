// QuickJS has neither TextEncoder nor TextDecoder.

const CHUNK = 8192;

/** A text in UTF-8. */
export function bytes(text) {
  const escaped = unescape(encodeURIComponent(text));
  return Uint8Array.from(escaped, (character) => character.charCodeAt(0));
}

/** UTF-8 as a text; throws where it is none. */
export function text(bytes) {
  let escaped = '';
  for (let at = 0; at < bytes.length; at += CHUNK) {
    escaped += String.fromCharCode(...bytes.slice(at, at + CHUNK));
  }
  return decodeURIComponent(escape(escaped));
}

/** A text without halves of characters, such as `slice` leaves: they have no UTF-8, and would end the instance. */
export const wellFormed = (text) => text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd');

/** JSON with such texts. */
export function stringify(value) {
  const json = JSON.stringify(value);
  // JSON.stringify writes nothing else like that, but for texts that hold it themselves.
  if (!/\\ud[89a-f]/.test(json)) return json;
  return JSON.stringify(value, (_, member) => (typeof member === 'string' ? wellFormed(member) : member));
}
