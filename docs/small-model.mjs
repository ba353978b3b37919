// A small real model behind an OpenAI-compatible address, to try Neverdark on text that nobody scripted.
//   node small-model.mjs MODEL.gguf [PORT]
// Runs in any folder where `npm install node-llama-cpp` was done. One answer at a time; loopback only; no key.
import { createServer } from "node:http";
import { basename } from "node:path";
import { getLlama, LlamaChatSession } from "node-llama-cpp";

const [file, port = "9551"] = process.argv.slice(2);
const WINDOW = 2048; // tokens; SmolLM2 was trained for 8192, but the memory of a small machine decides
const llama = await getLlama({ build: "never", gpu: false, logLevel: "error" });
const model = await llama.loadModel({ modelPath: file });
const context = await model.createContext({ contextSize: WINDOW, threads: 1 });
const name = basename(file, ".gguf");
let queue = Promise.resolve();

const json = (res, status, body) => res.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));

async function answer({ messages = [], max_tokens = 512, temperature = 0.7 }, res) {
    const gone = new AbortController(); // a caller that hangs up must not keep the model busy
    res.on("close", () => gone.abort());
    const tokens_in = messages.reduce((sum, it) => sum + model.tokenize(it.content).length + 5, 0);
    if (tokens_in >= WINDOW) return json(res, 400, { error: { code: "context_length_exceeded", message: `at most ${WINDOW} tokens` } });
    const send = (choices, more) => res.write(`data: ${JSON.stringify({ object: "chat.completion.chunk", model: name, choices, ...more })}\n\n`);
    const sequence = context.getSequence();
    try {
        const session = new LlamaChatSession({ contextSequence: sequence });
        session.setChatHistory(messages.slice(0, -1).map(({ role, content }) =>
            role === "assistant" ? { type: "model", response: [content] } : { type: role, text: content }));
        res.writeHead(200, { "content-type": "text/event-stream" });
        let tokens_out = 0;
        const { stopReason } = await session.promptWithMeta(messages.at(-1)?.content ?? "", {
            maxTokens: max_tokens, temperature, signal: gone.signal, stopOnAbortSignal: true,
            onToken: (tokens) => (tokens_out += tokens.length),
            onTextChunk: (content) => send([{ index: 0, delta: { content } }]),
        });
        send([{ index: 0, delta: {}, finish_reason: stopReason === "maxTokens" ? "length" : "stop" }]);
        send([], { usage: { prompt_tokens: tokens_in, completion_tokens: tokens_out } });
        res.end("data: [DONE]\n\n");
    } finally {
        sequence.dispose();
    }
}

createServer(async (req, res) => {
    if (req.url === "/v1/models") return json(res, 200, { object: "list", data: [{ id: name, object: "model" }] });
    if (req.url !== "/v1/chat/completions") return json(res, 404, { error: { message: "no such path" } });
    const body = Buffer.concat(await req.toArray()).toString();
    const turn = () => res.destroyed || answer(JSON.parse(body), res);
    queue = queue.then(turn).catch((error) => (console.error(String(error)), res.destroy()));
}).listen(Number(port), "127.0.0.1", () => console.log(`${name} at http://127.0.0.1:${port}/v1`));
