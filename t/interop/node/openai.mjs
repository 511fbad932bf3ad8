// What OpenAI's npm SDK, as it comes, makes of servers.
//
// Reads a list of { name, base, kind, body, options, ... } from its standard
// input, and prints a line of JSON for each:
//
//     chat      { answer }
//     stream    { chunks }, or with a failure what came before
//     helper    { answer }, put together by the SDK's own reader of streams
//     models    { answer }
//     abort     as stream; stops at the first text, or when the file "when.file"
//               says "when.text"
//
// and of a failure { error: its class, status, code, message }.

import { readFileSync } from 'node:fs';
import OpenAI from 'openai';

const cases = JSON.parse(readFileSync(0, 'utf8'));

async function ask(c) {
    const client = new OpenAI({ apiKey: 'secret-key', baseURL: c.base, maxRetries: 0, timeout: 60_000, ...c.options });
    const out = { name: c.name };
    let timer;

    try {
        if (c.kind === 'models') {
            out.answer = [];
            for await (const model of client.models.list()) out.answer.push(model);

        } else if (c.kind === 'chat') {
            out.answer = await client.chat.completions.create(c.body);

        } else if (c.kind === 'helper') {
            const stream = client.chat.completions.stream(c.body);
            out.answer = await stream.finalChatCompletion();

        } else {
            const controller = new AbortController();
            out.chunks = [];

            if (c.when) {
                timer = setInterval(() => {
                    if (readFileSync(c.when.file, 'utf8').includes(c.when.text)) controller.abort();
                }, 10);
            }

            const stream = await client.chat.completions.create({ ...c.body, stream: true }, { signal: controller.signal });

            for await (const chunk of stream) {
                out.chunks.push(chunk);
                if (c.kind === 'abort' && chunk.choices[0]?.delta.content) stream.controller.abort();
            }

            out.ended = true;
        }

    } catch (e) {
        out.error = e.constructor.name;
        out.status = e.status ?? null;
        out.code = e.code ?? null;
        out.message = e.message;

    } finally {
        clearInterval(timer);
    }

    return out;
}

// some at a time

async function work() {
    for (let c; (c = cases.shift());) console.log(JSON.stringify(await ask(c)));
}

await Promise.all(Array.from({ length: 6 }, work));
process.exit(0);
