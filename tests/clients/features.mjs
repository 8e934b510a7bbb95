// Prompts, resources, completions, questions, subscriptions, log lines and tasks with the npm packages
// `@modelcontextprotocol/client` and `@modelcontextprotocol/ext-tasks`, over stdio and HTTP, in both eras of the protocol.
//
// usage: features.mjs BIN REPO JUNIT.xml DATA
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import {
    Client,
    LOG_LEVEL_META_KEY,
    ProtocolError,
    ResourceNotFoundError,
    StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import {
    createApplicationInputHandler,
    createTaskSessionFromClient,
    resultFromTaskOutcome,
    TaskFailedError,
} from "@modelcontextprotocol/ext-tasks/client";

const [BIN, REPO, JUNIT, DATA] = process.argv.slice(2).map((argument) => resolve(argument));
const MODERN = "2026-07-28";
const LEGACY = "2025-11-25";
const AUTO = "auto";
const PATIENCE = 30_000;
const INVALID_PARAMS = -32602;
const MISSING_CAPABILITY = -32021;
const CONFIG = `
[skills.conformance]
mount = "root"
timeout = "2m"
[skills.whole.grants]
keyvalue = true
`;

class Folder {
    constructor() {
        this.root = mkdtempSync(join(tmpdir(), "skillhost-clients-"));
        mkdirSync(join(this.root, "skills"));
        writeFileSync(join(this.root, "skillhost.toml"), CONFIG);
        this.add("plugins/dist/fixtures/conformance");
        this.add("tests/skills/dist/whole");
    }

    file(skill) {
        return join(this.root, "skills", `${skill.split("/").at(-1)}.wasm`);
    }

    add(skill) {
        copyFileSync(join(REPO, `${skill}.wasm`), this.file(skill));
    }

    remove(skill) {
        rmSync(this.file(skill));
    }

    args() {
        return ["--skills", join(this.root, "skills"), "--data", DATA, "--config", join(this.root, "skillhost.toml")];
    }
}

/** A transport to a host for this folder, and what ends the host. */
const transports = {
    async stdio(folder) {
        const transport = new StdioClientTransport({ command: BIN, args: ["stdio", ...folder.args()], stderr: "ignore" });
        return [transport, async () => {}];
    },

    async http(folder) {
        const args = ["serve", "--listen", "127.0.0.1:0", ...folder.args()];
        const host = spawn(BIN, args, { stdio: ["ignore", "ignore", "pipe"] });
        const ended = once(host, "exit");
        const url = await new Promise((told, failed) => {
            // Read to its end, so that the host never waits for us.
            createInterface(host.stderr).on("line", (line) => {
                const event = line.includes('"listening"') ? JSON.parse(line) : {};
                if (event.message === "listening") told(event.url);
            });
            ended.then(([code]) => failed(new Error(`the host ended with ${code}`)));
        });
        const end = async () => {
            host.kill();
            await ended;
        };
        return [new StreamableHTTPClientTransport(new URL(url)), end];
    },
};

/** A client with these abilities: capabilities by their names, and the handlers that go with them. */
async function connected(over, folder, mode, scenario, { capabilities = {}, handlers = {}, ...options } = {}) {
    const [transport, end] = await transports[over](folder);
    const negotiation = { [MODERN]: { pin: MODERN }, [LEGACY]: "legacy", [AUTO]: "auto" }[mode];
    const information = { name: "features", version: "1.0.0" };
    const client = new Client(information, { capabilities, versionNegotiation: { mode: negotiation }, ...options });
    try {
        for (const [method, handler] of Object.entries(handlers)) client.setRequestHandler(method, handler);
        await client.connect(transport);
        assert.equal(client.getNegotiatedProtocolVersion(), mode === LEGACY ? LEGACY : MODERN);
        return await scenario(client, transport);
    } finally {
        await client.close();
        await end();
    }
}

const refused = (promise, code, word) =>
    assert.rejects(promise, (error) => {
        assert.ok(error instanceof ProtocolError, `a protocol error: ${error}`);
        assert.equal(error.code, code, error.message);
        assert.match(error.message, word);
        return true;
    });

async function text(client, name, args = {}) {
    const result = await client.callTool({ name, arguments: args });
    assert.ok(!result.isError, JSON.stringify(result));
    return result.content[0].text;
}

/** What comes later, each once. */
class Queue {
    items = [];
    waiting = [];

    put(item) {
        const next = this.waiting.shift();
        if (next) next(item);
        else this.items.push(item);
    }

    async next() {
        if (this.items.length > 0) return this.items.shift();
        return await new Promise((told) => this.waiting.push(told));
    }
}

async function prompts(over, folder, mode) {
    await connected(over, folder, mode, async (client) => {
        const listed = new Map((await client.listPrompts()).prompts.map((prompt) => [prompt.name, prompt]));
        const two = listed.get("test_prompt_with_arguments").arguments;
        assert.deepEqual(two.map((one) => [one.name, one.required]), [["arg1", true], ["arg2", true]]);
        const filled = await client.getPrompt({ name: "whole_essay", arguments: { topic: "rivers" } });
        assert.equal(filled.messages[0].content.text, "Write about rivers.");
        const args = { resourceUri: "test://a" };
        const embedded = await client.getPrompt({ name: "test_prompt_with_embedded_resource", arguments: args });
        assert.equal(embedded.messages[0].content.resource.uri, "test://a");
        await refused(client.getPrompt({ name: "nothing" }), INVALID_PARAMS, /nothing/);
        await refused(client.getPrompt({ name: "whole_essay", arguments: {} }), INVALID_PARAMS, /topic/);

        const ref = { type: "ref/prompt", name: "whole_essay" };
        const { completion } = await client.complete({ ref, argument: { name: "topic", value: "r" } });
        assert.deepEqual(completion.values, ["rain", "rivers"]);
    });
}

async function resources(over, folder, mode) {
    await connected(over, folder, mode, async (client) => {
        const listed = (await client.listResources()).resources.map((resource) => resource.uri);
        assert.ok(listed.includes("test://static-text") && listed.includes("test://static-binary"), listed.join());
        const templates = (await client.listResourceTemplates()).resourceTemplates.map((one) => one.uriTemplate);
        assert.ok(templates.includes("value://{key}"), templates.join());
        const read = async (uri) => (await client.readResource({ uri })).contents[0];
        assert.equal((await read("test://static-text")).text, "This is the content of the static text resource.");
        assert.equal(Buffer.from((await read("test://static-binary")).blob, "base64").subarray(1, 4).toString(), "PNG");
        assert.equal(JSON.parse((await read("test://template/7/data")).text).id, "7");
        await text(client, "whole_set", { key: "k", value: "of a tool" });
        assert.equal(Buffer.from((await read("value://k")).blob, "base64").toString(), "of a tool");
        // The client knows a resource that is not there by the error's data, and has one code for both eras.
        await assert.rejects(read("value://nothing"), (error) => {
            assert.ok(error instanceof ResourceNotFoundError, String(error));
            assert.equal(error.uri, "value://nothing");
            return true;
        });
    });
}

async function questions(over, folder, mode) {
    const forms = [];
    const asked = [];
    const handlers = {
        "elicitation/create": async ({ params }) => {
            asked.push(params);
            const answer = forms.shift();
            return typeof answer === "string" ? { action: answer } : { action: "accept", content: answer };
        },
        "sampling/createMessage": async ({ params }) => {
            asked.push(params);
            return { role: "assistant", model: "of the test", content: { type: "text", text: "Hello" } };
        },
        "roots/list": async () => ({ roots: [{ uri: "file:///a" }, { uri: "file:///b" }] }),
    };
    const capabilities = { elicitation: { form: {} }, sampling: {}, roots: {} };
    const scenario = async (client) => {
        const contact = () => text(client, "test_elicitation", { message: "Who are you?" });
        forms.push({ username: "ann", email: "a@b.c" }, "decline", "cancel");
        assert.match(await contact(), /action=accept.*"username":"ann"/);
        assert.equal(await contact(), "User response: action=decline, content={}");
        assert.equal(await contact(), "User response: action=cancel, content={}");
        assert.equal(asked[0].message, "Who are you?");
        assert.deepEqual(Object.keys(asked[0].requestedSchema.properties).sort(), ["email", "username"]);
        assert.equal(await text(client, "test_sampling", { prompt: "Greet me" }), "LLM response: Hello");
        assert.equal(asked.at(-1).maxTokens, 100);
        assert.equal(await text(client, "test_input_required_result_list_roots"), "Roots: file:///a, file:///b");
        forms.push({ name: "Ann" });
        assert.equal(await text(client, "test_input_required_result_multiple_inputs"), "Hello Ann, roots: 2");
        forms.push({ name: "Ann" }, { color: "red" });
        assert.equal(await text(client, "test_input_required_result_multi_round"), "Ann likes red");
        forms.push({ context: "the test" });
        const prompt = await client.getPrompt({ name: "test_input_required_result_prompt" });
        assert.equal(prompt.messages[0].content.text, "Use this context: the test");
    };
    await connected(over, folder, mode, scenario, { capabilities, handlers });
    await connected(over, folder, mode, async (client) => {
        const asking = client.callTool({ name: "test_elicitation", arguments: { message: "?" } });
        await refused(asking, MISSING_CAPABILITY, /./);
    });
}

async function subscriptions(over, folder, mode) {
    const listings = { tools: new Queue(), prompts: new Queue(), resources: new Queue() };
    // The client opens a stream for these by itself, where it needs one, and lists anew.
    const listChanged = Object.fromEntries(
        Object.entries(listings).map(([kind, queue]) => {
            const onChanged = (error, items) => queue.put(error ?? items.map((item) => item.name));
            return [kind, { onChanged, debounceMs: 0 }];
        }),
    );
    folder.remove("whole");
    const scenario = async (client) => {
        const heard = new Queue();
        client.setNotificationHandler("notifications/resources/updated", ({ params }) => heard.put(params.uri));
        const until = async (there) => {
            for (const [kind, name] of [["tools", "whole_set"], ["prompts", "whole_essay"]]) {
                while ((await listings[kind].next()).includes(name) !== there);
            }
            await listings.resources.next();
        };
        const listed = (await client.listTools()).tools.map((tool) => tool.name);
        assert.ok(!listed.includes("whole_set"), listed.join());
        folder.add("tests/skills/dist/whole");
        await until(true);

        const change = (key) => text(client, "whole_set", { key, value: "new" });
        const listening = async (uri, work) => {
            if (mode === LEGACY) {
                await client.subscribeResource({ uri });
                await work();
                await client.unsubscribeResource({ uri });
            } else {
                const subscription = await client.listen({ resourceSubscriptions: [uri] });
                assert.deepEqual(subscription.honoredFilter.resourceSubscriptions, [uri]);
                await work();
                await subscription.close();
            }
        };
        await listening("value://a", async () => {
            await change("b");
            await change("a");
            assert.equal(await heard.next(), "value://a");
        });
        await listening("value://c", async () => {
            await change("a");
            await change("c");
            assert.equal(await heard.next(), "value://c");
        });
        assert.deepEqual(heard.items, []);
        folder.remove("whole");
        await until(false);
    };
    await connected(over, folder, mode, scenario, { listChanged });
}

async function progressAndLogLines(over, folder, mode) {
    await connected(over, folder, mode, async (client) => {
        const steps = [];
        const onprogress = ({ progress, total }) => steps.push([progress, total]);
        await client.callTool({ name: "test_tool_with_progress", arguments: {} }, { onprogress });
        assert.deepEqual(steps, [[0, 100], [50, 100], [100, 100]]);
        const lines = new Queue();
        client.setNotificationHandler("notifications/message", ({ params }) => lines.put([params.level, params.data]));
        const name = "test_tool_with_logging";
        await client.callTool({ name, arguments: {} });
        assert.deepEqual(lines.items, []);
        if (mode === LEGACY) await client.setLoggingLevel("info");
        const _meta = mode === LEGACY ? {} : { [LOG_LEVEL_META_KEY]: "info" };
        await client.callTool({ name, arguments: {}, _meta });
        for (const word of ["started", "processing", "completed"]) {
            const [level, line] = await lines.next();
            assert.equal(level, "info");
            assert.match(line, new RegExp(word));
        }
    });
}

/** Requests that the client has no words for, over its own transport: their answers are taken out before it sees them. */
function raw(transport) {
    const waiting = new Map();
    const inner = transport.onmessage;
    let sent = 0;
    transport.onmessage = (message, extra) => {
        const told = waiting.get(message.id);
        if (!told) return inner(message, extra);
        waiting.delete(message.id);
        told(message.error ? { kind: "error", error: message.error } : { kind: "result", result: message.result });
    };
    return async (request) => {
        const id = `raw-${++sent}`;
        const answer = new Promise((told) => waiting.set(id, told));
        await transport.send({ jsonrpc: "2.0", id, ...request });
        return await answer;
    };
}

async function tasks(over, folder, mode) {
    const asked = [];
    const onInputRequest = createApplicationInputHandler({
        elicitation: (request, context) => {
            asked.push([request.params.message, context.scope]);
            const fields = Object.keys(request.params.requestedSchema.properties);
            const content = Object.fromEntries(fields.map((field) => [field, field === "confirm" ? true : "Ann"]));
            return { action: "accept", content };
        },
        sampling: () => assert.fail("nobody asks the model"),
        roots: () => assert.fail("nobody asks for folders"),
    });
    const framing = {
        protocolVersion: MODERN,
        clientInfo: { name: "features", version: "1.0.0" },
        clientCapabilities: { elicitation: { form: {} } },
    };
    const withTasks = (scenario) =>
        connected(over, folder, mode, async (client, transport) => {
            const rawDispatch = raw(transport);
            const options = { endpointId: "skillhost", rawDispatch, v2RequestFraming: framing, onInputRequest };
            const session = createTaskSessionFromClient(client, options);
            try {
                await scenario(session, client);
            } finally {
                await session.close();
            }
        });
    const settled = async (execution) => resultFromTaskOutcome((await execution.settle()).outcome);

    let reference;
    await withTasks(async (session, client) => {
        const call = async (name, args, kind) => {
            const execution = await session.callTool(name, args);
            assert.equal(execution.kind, kind, name);
            return await settled(execution);
        };
        assert.equal((await call("greet", { name: "Ann" }, "immediate")).content[0].text, "Hello, Ann!");
        const computed = await call("slow_compute", { seconds: 1, label: "it" }, "task");
        assert.equal(computed.content[0].text, "it took 1 s");
        assert.equal((await call("failing_job", {}, "task")).isError, true);
        await assert.rejects(call("protocol_error_job", {}, "task"), (error) => {
            assert.ok(error instanceof TaskFailedError && error.code === MISSING_CAPABILITY, String(error));
            return true;
        });
        const deleted = await call("confirm_delete", { filename: "a" }, "task");
        assert.equal(deleted.content[0].text, "would delete a");
        assert.deepEqual(asked.splice(0), [["Delete a?", "task"]]);
        assert.equal((await call("multi_input", {}, "task")).content[0].text, "Ann: true, Ann: true");
        assert.equal(asked.splice(0).length, 2);
        // Asked as a call, and a task only then.
        assert.equal((await call("test_tool_with_task", {}, "task")).content[0].text, "Hello, Ann!");
        assert.deepEqual(asked.splice(0), [["What is your name?", "request"]]);

        const long = await session.callTool("slow_compute", { seconds: 100 });
        await long.cancel();
        assert.equal((await long.result()).status, "cancelled");

        // The client's own calls do not say that it has tasks.
        await refused(client.callTool({ name: "failing_job", arguments: {} }), MISSING_CAPABILITY, /./);
        const left = await session.callTool("slow_compute", { seconds: 1, label: "left behind" });
        await left.handoff((kept) => (reference = structuredClone(kept)));
        // Until it is let go of: a session that ends cancels what it still has.
        await left.result();
    });
    // Another host goes on with it.
    await withTasks(async (session) => {
        const result = await settled(await session.resumeTask(reference));
        assert.equal(result.content[0].text, "left behind took 1 s");
    });
}

const both = [prompts, resources, questions, subscriptions, progressAndLogLines];
// Only the newer era has this extension. A client that finds its era by asking is one of the newer era.
const plan = [MODERN, LEGACY].flatMap((mode) => both.map((scenario) => [mode, scenario]));
plan.push([MODERN, tasks], [AUTO, prompts]);

const escaped = (value) =>
    value
        .replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd]/g, "?")
        .replace(/[&<>"\n]/g, (character) => `&#${character.charCodeAt(0)};`);
let cases = "";
let failed = 0;
for (const over of ["stdio", "http"]) {
    for (const [mode, scenario] of plan) {
        const name = `${scenario.name} over ${over}, ${mode}`;
        const folder = new Folder();
        const began = performance.now();
        let problem;
        let timer;
        const late = new Promise((_, failed) => {
            timer = setTimeout(() => failed(new Error(`not done in ${PATIENCE} ms`)), PATIENCE);
        });
        try {
            await Promise.race([scenario(over, folder, mode), late]);
        } catch (error) {
            problem = `${error?.stack ?? error}${error?.cause ? `\n${error.cause}` : ""}`;
        } finally {
            clearTimeout(timer);
            rmSync(folder.root, { recursive: true });
        }
        failed += problem ? 1 : 0;
        console.log(`${problem ? "FAIL" : "ok  "} ${name}`);
        if (problem) console.log(problem);
        const seconds = ((performance.now() - began) / 1000).toFixed(3);
        const body = problem ? `<failure message="${escaped(problem)}"/>` : "";
        cases += `<testcase name="${escaped(name)}" time="${seconds}">${body}</testcase>\n`;
    }
}
const total = 2 * plan.length;
writeFileSync(JUNIT, `<testsuite name="clients.npm" tests="${total}" failures="${failed}">\n${cases}</testsuite>\n`);
console.log(`${total - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
