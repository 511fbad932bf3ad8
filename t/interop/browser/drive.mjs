// A headless Chromium for t/interop/browser.t, and a relay in front of it that
// may be told to cheat.
//
//     node drive.mjs URL CHROMIUM
//
// URL is the relay's.  Reads commands, each a line of JSON [name, ...], and
// answers each with a line: {"ready": ...}, the value, or {"error": ...}.

import { generateKeyPairSync } from 'node:crypto';
import { createServer, request } from 'node:http';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [target, executablePath] = process.argv.slice(2);


// -- a relay that cheats

let cheat = 'no';
let recorded = null;

const isList = (path) => path.startsWith('/tees?');
const isAnswer = (path) => path.startsWith('/api/');

// where each part of a chunked response begins, the last one included

function parts(bytes) {
    const starts = [];
    let at = 32;

    while (at < bytes.length) {
        const width = 1 << (bytes[at] >> 6);
        const length = bytes.subarray(at + 1, at + width).reduce((n, byte) => n * 256 + byte, bytes[at] & 63);

        starts.push(at);
        at = length === 0 ? bytes.length : at + width + length;
    }

    return starts;
}

const ohttpKey = () => generateKeyPairSync('x25519').publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);

const tees = (change) => (answer) => {
    const list = JSON.parse(answer.body);

    change(list.tees);
    answer.body = Buffer.from(JSON.stringify(list));
};

const said = (type) => (answer) => {
    answer.status = 200;
    answer.type = type;
    answer.body = Buffer.from('data: {"choices":[{"index":0,"delta":{"content":"Trust me."},"finish_reason":"stop"}]}\n\n'
        + 'data: [DONE]\n\n');
};

const CHEATS = {
    no: [isAnswer, (answer) => { recorded = answer.body; }],
    flip: [isAnswer, (answer) => { answer.body[parts(answer.body)[2] + 20] ^= 1; }],
    cut: [isAnswer, (answer) => { answer.body = answer.body.subarray(0, parts(answer.body).at(-1)); }],
    drop: [isAnswer, (answer) => {
        const [from, to] = parts(answer.body).slice(1);

        answer.body = Buffer.concat([answer.body.subarray(0, from), answer.body.subarray(to)]);
    }],
    swap: [isAnswer, (answer) => {
        const [a, b, c] = parts(answer.body).slice(1);

        answer.body = Buffer.concat([answer.body.subarray(0, a), answer.body.subarray(b, c), answer.body.subarray(a, b),
            answer.body.subarray(c)]);
    }],
    replay: [isAnswer, (answer) => { answer.body = recorded; }],
    plain: [isAnswer, said('text/event-stream')],
    disguise: [isAnswer, said('message/ohttp-chunked-res')],
    error: [isAnswer, (answer) => {
        Object.assign(answer, { status: 503, type: 'application/json', body: Buffer.from('{"error":"Trust me."}') });
    }],
    'signing key': [isList, tees((list) => {
        const keys = list.map((tee) => tee.signing_key);

        list.forEach((tee, i) => { tee.signing_key = keys[(i + 1) % keys.length]; });
    })],
    'OHTTP key': [isList, tees((list) => list.forEach((tee) => {
        const config = Buffer.from(tee.key_config, 'base64');

        ohttpKey().copy(config, 3);
        tee.key_config = config.toString('base64');
    }))],
    'no key': [(path) => path.startsWith('/tees/config'), (answer) => { answer.status = 404; }],
};

const relay = createServer((from, to) => {
    const [applies, change] = CHEATS[cheat];

    const asked = request(target + from.url, { method: from.method, headers: from.headers }, async (response) => {
        const body = [];

        for await (const piece of response) {
            body.push(piece);
        }

        const answer = { status: response.statusCode, type: response.headers['content-type'], body: Buffer.concat(body) };

        if (applies(from.url)) {
            change(answer);
        }

        to.writeHead(answer.status, { 'content-type': answer.type ?? 'text/plain', 'content-length': answer.body.length });
        to.end(answer.body);
    });

    asked.on('error', () => to.destroy());
    from.pipe(asked);
});

await new Promise((done) => { relay.listen(0, '127.0.0.1', done); });


// -- the browser

const browser = await chromium.launch({ executablePath, args: process.getuid() === 0 ? ['--no-sandbox'] : [] });
let page;
let noise = [];
let origins;

const COMMANDS = {
    // a new page; the relay itself, or the one that cheats
    async open(how) {
        await page?.context().close();

        const context = await browser.newContext({ viewport: { width: 900, height: 1400 } });
        const base = how === undefined ? target : `http://127.0.0.1:${relay.address().port}`;

        cheat = how ?? 'no';
        noise = [];
        origins = new Set();
        page = await context.newPage();
        page.setDefaultTimeout(20000);
        page.on('pageerror', (error) => noise.push(`${error}`));
        page.on('console', (message) => noise.push(message.text()));
        page.on('request', (one) => origins.add(new URL(one.url()).origin === base ? 'own' : one.url()));

        await page.goto(`${base}/`);
        await page.waitForFunction(() => !document.getElementById('ask').disabled || document.getElementById('verdict').dataset.state);
    },

    async ask(tee, model, question) {
        await page.selectOption('#tee', tee);
        await page.fill('#model', model);
        await page.fill('#question', question);
        await page.click('#ask');
    },

    press: (key) => page.keyboard.press(key),
    type: (text) => page.keyboard.type(text),
    click: (what) => page.click(what),

    focus: () => page.evaluate(() => document.activeElement.id),

    // the answer has this text
    text: (want) => page.waitForFunction((t) => document.getElementById('answer').textContent === t, want),

    // it has come to its end
    end: () => page.waitForFunction(() => document.getElementById('answer').getAttribute('aria-busy') === 'false'
        && !/^Nothing/.test(document.getElementById('verdict').textContent)),

    see: () => page.evaluate(() => ({
        verdict: document.getElementById('verdict').textContent,
        state: document.getElementById('verdict').dataset.state ?? '',
        answer: document.getElementById('answer').textContent,
        busy: document.getElementById('answer').getAttribute('aria-busy'),
        checks: Object.fromEntries(Array.from(document.querySelectorAll('#checks li'),
            (item) => [item.dataset.check, item.querySelector('b').textContent])),
        facts: Object.fromEntries(Array.from(document.querySelectorAll('dd[id], dd span'), (one) => [one.id, one.textContent])),
    })),

    // what is read to those who cannot see it
    spoken: () => page.locator('main').ariaSnapshot(),

    noise: () => noise,
    origins: () => [...origins],
    shot: (path) => page.screenshot({ path, fullPage: true }),
    version: () => browser.version(),
};

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

say({ ready: true });

for await (const line of createInterface({ input: process.stdin })) {
    const [name, ...args] = JSON.parse(line);

    try {
        const value = await COMMANDS[name](...args);

        say({ value: ['text', 'end', 'shot'].includes(name) ? true : value ?? true });

    } catch (error) {
        say({ error: `${name}: ${error.message}`, noise });
    }
}

await browser.close();
relay.close();
relay.closeAllConnections();
