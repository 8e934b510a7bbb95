import './globals.js';

export * as ask from './ask.js';
export { Failure } from './failure.js';
export * as host from './host.js';
export { HostError, log } from './host.js';

export { Reply } from './reply.js';
export { skill, tool } from './skill.js';
