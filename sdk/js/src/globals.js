// What programs lean on everywhere, and QuickJS does not have.
import * as world from '#world';
import { log } from './host.js';

// Its own generator begins alike in each instance.
const fraction = Math.random;
Math.random = () => {
  let bytes;
  try {
    bytes = world.random.getRandomBytes(7);
  } catch {
    // While the component is built there is nobody to ask.
    return fraction();
  }
  // As many bits as a number has between 0 and 1.
  return bytes.reduce((sum, byte, n) => sum * 256 + (n === 0 ? byte & 31 : byte), 0) / 2 ** 53;
};

globalThis.console ??= { ...log, log: log.info, dir: log.info };
