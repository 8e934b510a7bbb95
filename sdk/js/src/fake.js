// A host for tests under Node: what `testing.js` sets up, in the place of `world.js`.

const refused = (tag, val) => Object.assign(new Error(tag), { payload: { tag, val } });

/** What stands behind the host's interfaces now. */
export const state = {};

export function reset() {
  Object.assign(state, {
    config: {},
    secrets: {},
    values: new Map(),
    tools: {},
    cancelled: false,
    progress: [],
    log: [],
    calls: [],
    prepared: undefined,
    changed: [],
  });
}
reset();

const changed = (what) => () => void state.changed.push(what);

export const host = {
  progress: (progress, total, message) => void state.progress.push({ progress, total, message }),
  cancelled: () => state.cancelled,
  prepareUndo: (token) => void (state.prepared = JSON.parse(token)),
  callTool(name, json) {
    const args = json === null ? undefined : JSON.parse(json);
    const tool = state.tools[name];
    if (!tool) throw refused('refused', { tag: 'denied', val: `the test has no tool ${name}` });
    state.calls.push({ name, args });
    return tool(args);
  },
  toolsChanged: changed('tools'),
  promptsChanged: changed('prompts'),
  resourcesChanged: changed('resources'),
  resourceUpdated: (uri) => changed(uri)(),
};

export const secrets = {
  get(name) {
    if (!(name in state.secrets)) throw refused('denied', `the secret ${name} was not granted`);
    return state.secrets[name];
  },
};

export const config = {
  get: (key) => state.config[key] ?? null,
  getAll: () => Object.entries(state.config),
};

export const keyvalue = {
  open: () => ({
    get: (key) => state.values.get(key) ?? null,
    set: (key, value) => void state.values.set(key, value),
    delete: (key) => void state.values.delete(key),
    exists: (key) => state.values.has(key),
    listKeys: () => ({ keys: [...state.values.keys()], cursor: null }),
  }),
};

export const logging = { log: (level, _, message) => void state.log.push({ level, message }) };

export const random = { getRandomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)) };
