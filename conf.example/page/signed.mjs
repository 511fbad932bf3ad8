// Signed answers: what a TEE has been asked and has answered, as it has signed
// it, and whether it has.

import { concat, equal, hex, must, Failure, unbase64, unhex, utf8 } from './bytes.mjs';
import { parseConfig } from './ohttp.mjs';
import { keccak256 } from './primitives.mjs';

const { subtle } = globalThis.crypto;

const MAX_AGE = 3600;                   // seconds, as the contract has them
const MAX_SKEW = 300;


// Server-sent events (WHATWG HTML, 9.2): the data of each

export async function* events(source) {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    let rest = '';
    let data = [];

    const line = (text) => {
        if (text === '' && data.length > 0) {
            return data.splice(0).join('\n');
        }

        const found = /^data(?:: ?(.*))?$/s.exec(text);

        if (found) {
            data.push(found[1] ?? '');
        }

        return null;
    };

    for await (const piece of source) {
        rest += decoder.decode(piece, { stream: true });

        // a CR at the end may be one half of a line's end
        const lines = rest.split(/\r\n|\n|\r(?!$)/);

        rest = lines.pop();
        yield* lines.map(line).filter((text) => text !== null);
    }

    rest += decoder.decode();
    yield* [rest.replace(/\r$/, ''), ''].map(line).filter((text) => text !== null);
}


// Canonical JSON: what Python's json.dumps(sort_keys=True) writes.  There are no
// numbers in it, since a script cannot tell 1 from 1.0.

const SHORT = { '"': '\\"', '\\': '\\\\', '\b': '\\b', '\f': '\\f', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

const quote = (text) => `"${text.replace(/["\\]|[^ -~]/g,
    (c) => SHORT[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`;

// by code points, not by the units of UTF-16: these have the pairs of what is
// above U+FFFF below U+E000

const order = (text) => Array.from(text, (c) => c.codePointAt(0).toString(16).padStart(6, '0')).join('');
const byCodePoints = (a, b) => (order(a) < order(b) ? -1 : 1);

export function canonical(value) {
    if (typeof value === 'string') {
        return quote(value);
    }

    if (Array.isArray(value)) {
        return `[${value.map(canonical).join(', ')}]`;
    }

    if (value !== null && typeof value === 'object') {
        return `{${Object.keys(value).sort(byCodePoints)
            .map((name) => `${quote(name)}: ${canonical(value[name])}`).join(', ')}}`;
    }

    must('request', value === null || typeof value === 'boolean', 'A number cannot be hashed here.');
    return String(value);
}

// A question, as it is sent and as it is signed.  A chat has the temperature
// 0.0 if it has none.

export function chat(model, question) {
    const messages = [{ content: question, role: 'user' }];

    return {
        body: JSON.stringify({ model, messages, stream: true }),
        signed: `{"messages": ${canonical(messages)}, "model": ${canonical(model)}, "temperature": 0.0}`,
    };
}


// An answer, whole or in pieces

function hash(text) {
    must('output', !/\p{Surrogate}/u.test(text), 'The answer has half a character, which has no hash.');
    return keccak256(utf8(text));
}

function textOf(content) {
    const parts = Array.isArray(content) ? content : [content ?? ''];
    const texts = parts.map((part) => (typeof part === 'string' ? part : part?.text ?? ''));

    must('output', texts.every((text) => typeof text === 'string'), 'The answer has content that is no text.');
    return texts.join('');
}

// The one choice; with several it would not be clear which one is signed

function only(object, part) {
    const choices = object.choices ?? [];
    const choice = choices[0] ?? {};
    const others = ['delta', 'message', 'text'].filter((name) => name !== part && name in Object(choice));

    must('output', Array.isArray(choices) && choices.length <= 1 && !choice.index && others.length === 0,
        'The answer has more than one choice, or one of another kind.');

    return choice;
}

export class Answer {
    constructor() {
        this.text = '';
        this.calls = [];
        this.signed = null;
        this.endedWithCalls = false;
    }

    // JSON of an event

    event(json) {
        const { object, choice } = this.read(json, 'delta');
        const calls = choice.delta?.tool_calls;

        this.text += textOf(choice.delta?.content);

        for (const call of Array.isArray(calls) ? calls : []) {
            this.fragment(call);
        }

        if ('tee_signature' in object) {
            this.endedWithCalls = choice.finish_reason === 'tool_calls';
        }
    }

    // JSON of an answer in one piece, or in an envelope

    whole(json) {
        const { choice } = this.read(json, 'message');
        const { content, tool_calls: calls } = choice.message ?? {};

        this.text = textOf(content);
        this.calls = Array.isArray(calls) ? calls : [];
        this.endedWithCalls = choice.finish_reason === 'tool_calls';
    }

    read(json, part) {
        let object;

        try {
            object = JSON.parse(json);
        } catch {
            throw new Failure('output', 'The answer has something that is not JSON.');
        }

        object = part === 'message' && object?.body ? object.body : object;

        must('output', object !== null && typeof object === 'object', 'The answer has something that is no object.');
        must('output', (object.error ?? null) === null,
            `The TEE has told an error in place of an answer: ${JSON.stringify(object.error)}`);

        if ('tee_signature' in object) {
            // 1.0 is no integer, which JSON.parse() does not tell
            must('time', !/"tee_timestamp"\s*:\s*[-\d]+[.eE]/.test(json), 'The time is no number of seconds.');
            this.signed = object;
        }

        return { object, choice: only(object, part) };
    }

    // The last id and name count; arguments come in pieces.

    fragment({ index = 0, id, type, function: f }) {
        must('output', Number.isInteger(index) && index >= 0 && index < 256, 'The answer has a call that has no place.');

        const call = this.calls[index] ??= { id: null, type: 'function', function: { name: '', arguments: '' } };

        call.id = id || call.id;
        call.type = type || call.type;
        call.function.name = f?.name || call.function.name;
        call.function.arguments += f?.arguments || '';
    }

    get isCalls() {
        return this.endedWithCalls && this.calls.length > 0;
    }

    // What is signed: the tool calls, or the text

    output(noId = null) {
        const calls = this.calls.filter((call) => call).map((call) => ({ ...call, id: call.id ?? noId }));

        return this.isCalls ? canonical(calls) : this.text;
    }
}


// Signatures

export async function verifyPss(spki, signature, message) {
    try {
        const key = await subtle.importKey('spki', spki, { name: 'RSA-PSS', hash: 'SHA-256' }, false, ['verify']);

        return await subtle.verify({ name: 'RSA-PSS', saltLength: 32 }, key, signature, message);
    } catch {
        return false;
    }
}

function uint256(n) {
    const bytes = new Uint8Array(32);

    new DataView(bytes.buffer).setBigUint64(24, BigInt(n));
    return bytes;
}

export const messageHash = (request, output, time) => keccak256(concat(request, output, uint256(time)));

// The OHTTP key that a TEE has signed (/v1/ohttp/config).  Without it, the list
// could have a key of the relay's own beside the id of a genuine TEE.

const CONFIG_DOMAIN = keccak256(utf8('OPENGRADIENT_TEE_OHTTP_CONFIG_V1'));

export const configHash = (teeId, config, bytes) => keccak256(concat(CONFIG_DOMAIN, teeId,
    ...[config.id, 0x20, 1, 3].map(uint256), keccak256(config.publicKey), keccak256(bytes)));

export async function verifyConfig(tee, signed) {
    const bytes = unbase64(tee.key_config);
    const config = parseConfig(bytes);
    const id = unhex(tee.tee_id, 32);
    const signature = unbase64(signed?.signature);

    must('key', config, 'The list has no OHTTP key for this TEE that can be used.');
    must('key', signature && await verifyPss(unbase64(tee.signing_key), signature, configHash(id, config, bytes)),
        'The OHTTP key in the list is not the one that the TEE has signed.');

    return config;
}

export function verifyIdentity(tee) {
    const [id, spki] = [unhex(tee.tee_id, 32), unbase64(tee.signing_key)];

    must('identity', id && spki && equal(keccak256(spki), id),
        'The signing key in the list is not that of this TEE: its hash is another one.');
}

// Reports each check that passes.  Hashes have one spelling, ids have several.

const hashOf = (text) => (/[A-F]/.test(text) ? null : unhex(text, 32));

export async function verifyAnswer(tee, asked, answer, now, passed) {
    const { signed } = answer;

    must('tee', signed, 'The answer is not signed.');
    must('tee', equal(unhex(signed.tee_id, 32) ?? [], unhex(tee.tee_id, 32)), 'Another TEE has signed.');
    passed('tee');

    const request = keccak256(utf8(asked));

    must('request', equal(hashOf(signed.tee_request_hash) ?? [], request), 'It is the answer to another question.');
    passed('request', { request: hex(request) });

    const outputs = [answer.output(), answer.output('')].map(hash);
    const output = outputs.find((one) => equal(one, hashOf(signed.tee_output_hash) ?? []));

    must('output', output, 'Another answer has been signed than this one.');
    passed('output', { output: hex(output) });

    const signature = unbase64(signed.tee_signature);
    const time = signed.tee_timestamp;

    must('signature', signature && typeof time !== 'object' && /^\d{1,18}$/.test(time)
        && await verifyPss(unbase64(tee.signing_key), signature, messageHash(request, output, time)),
    'The signature is not by the key of this TEE.');
    passed('signature', { signature: signed.tee_signature });

    const age = now - Number(time);

    must('time', age <= MAX_AGE && age >= -MAX_SKEW, `It was signed ${Math.abs(age)} seconds `
        + `${age < 0 ? 'ahead of' : 'before'} this computer's time.`);
    passed('time', { time: Number(time) });
}
