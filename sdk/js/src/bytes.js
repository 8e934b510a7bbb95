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
