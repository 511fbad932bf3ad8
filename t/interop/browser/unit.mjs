// Holds the modules of the page to the vectors in t/vectors and to Node's own
// cryptography.
//
//     node unit.mjs
//
// Prints "ok" or "not ok", and a name, for each.

import { constants, createCipheriv, createPublicKey, generateKeyPairSync, sign, webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';

// Node 18 has it elsewhere
globalThis.crypto ??= webcrypto;

const page = '../../../conf.example/page';
const { concat, unbase64, utf8 } = await import(`${page}/bytes.mjs`);
const { aeadOpen, aeadSeal, chacha20, keccak256, poly1305 } = await import(`${page}/primitives.mjs`);
const { exportSecret, openChunks, openWhole, parseConfig, seal, setup } = await import(`${page}/ohttp.mjs`);
const { Answer, canonical, chat, configHash, events, messageHash, verifyAnswer, verifyConfig, verifyIdentity, verifyPss }
    = await import(`${page}/signed.mjs`);

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url)));

// the page's own are made for what is short
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const unhex = (text) => Uint8Array.from(Buffer.from(text.replace(/^0x/, ''), 'hex'));

function ok(good, name, detail) {
    console.log(`${good ? 'ok' : 'not ok'} ${name}`);

    if (!good && detail !== undefined) {
        console.log(`# ${detail}`);
    }
}

const is = (got, want, name) => ok(got === want, name, `${got}, not ${want}`);

async function* pieces(bytes, size = bytes.length) {
    for (let at = 0; at < bytes.length; at += size) {
        yield bytes.subarray(at, at + size);
    }
}

// the check that fails, or "" and what was made

async function outcome(make) {
    try {
        return ['', await make()];
    } catch (error) {
        return [error.check ?? `${error}`];
    }
}

async function all(source) {
    const list = [];

    for await (const one of source) {
        list.push(one);
    }

    return list;
}


// RFC 8439: 2.4.2, 2.5.2, 2.8.2

const sunscreen = utf8("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
    + 'sunscreen would be it.');
const counting = (from, n) => Uint8Array.from({ length: n }, (_, i) => from + i);

is(hex(chacha20(counting(0, 32), 1, unhex('000000000000004a00000000'), sunscreen)).slice(0, 64),
    '6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b', 'ChaCha20, RFC 8439, 2.4.2');
is(hex(poly1305(unhex('85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b'),
    utf8('Cryptographic Forum Research Group'))), 'a8061dc1305136c6c22b8baf0c0127a9', 'Poly1305, RFC 8439, 2.5.2');

const nonce2 = unhex('070000004041424344454647');
const aad2 = unhex('50515253c0c1c2c3c4c5c6c7');
const sealed2 = aeadSeal(counting(0x80, 32), nonce2, aad2, sunscreen);

is(hex(sealed2.subarray(-16)), '1ae10b594f09e26a7e902ecbd0600691', 'the AEAD, RFC 8439, 2.8.2');
is(hex(sealed2.subarray(0, 16)), 'd31a8d34648e60db7b86afbc53ef7ec2', 'and its ciphertext');
is(hex(aeadOpen(counting(0x80, 32), nonce2, aad2, sealed2)), hex(sunscreen), 'which opens');
is(sealed2.filter((_, i) => aeadOpen(counting(0x80, 32), nonce2, aad2,
    sealed2.map((byte, k) => byte ^ (k === i ? 1 : 0))) !== null).length, 0, 'unless a bit of it has been changed');
is(aeadOpen(counting(0x80, 32), nonce2, aad2, sealed2.subarray(0, 15)), null, 'or it is shorter than a tag');

{
    const wrong = [];

    for (let n = 0; n < 300; n++) {
        const [key, nonce] = [keccak256(utf8(`key ${n}`)), keccak256(utf8(`nonce ${n}`)).subarray(0, 12)];
        const [text, aad] = [counting(n, n), counting(0, n % 37)];
        const c = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });

        c.setAAD(aad);

        const want = concat(c.update(text), c.final(), c.getAuthTag());

        if (hex(aeadSeal(key, nonce, aad, text)) !== hex(want)) {
            wrong.push(n);
        }
    }

    is(wrong.join(), '', 'the AEAD does as OpenSSL for 0 to 299 bytes');
}


// Keccak-256, ids

const ids = vectors('tee_id');

for (const { in: input, out } of ids.keccak_kat) {
    is(hex(keccak256(unhex(input))), out, `Keccak-256 of ${input.length / 2} bytes`);
}

const identity = (teeId, der) => outcome(() =>
    verifyIdentity({ tee_id: teeId, signing_key: Buffer.from(der, 'hex').toString('base64') }));

for (const one of ids.cases) {
    is((await identity(one.tee_id, one.spki_der))[0], '', `the id of ${one.name}`);
}

for (const one of ids.pitfalls.filter((pitfall) => pitfall.der)) {
    is((await identity(ids.cases[0].tee_id, one.der))[0], 'identity', `not the id: ${one.name}`);
}


// HPKE

async function pairOf(sk, pk) {
    const pkcs8 = concat(unhex('302e020100300506032b656e04220420'), unhex(sk));
    const { subtle } = globalThis.crypto;

    return {
        privateKey: await subtle.importKey('pkcs8', pkcs8, 'X25519', false, ['deriveBits']),
        publicKey: await subtle.importKey('raw', unhex(pk), 'X25519', true, []),
    };
}

const hpke = vectors('hpke_rfc9180').vectors.filter((v) => v.kem_id === 32 && v.kdf_id === 1 && v.aead_id === 3);

ok(hpke.length > 0, 'there are vectors of RFC 9180 for this suite');

for (const v of hpke) {
    const context = await setup(unhex(v.pkRm), unhex(v.info), await pairOf(v.skEm, v.pkEm));
    const [first] = v.encryptions;

    is(hex(context.enc), v.enc, 'RFC 9180: enc');
    is(hex(context.key), v.key, 'RFC 9180: key');
    is(hex(context.nonce), v.base_nonce, 'RFC 9180: base_nonce');
    is(hex(context.exporter), v.exporter_secret, 'RFC 9180: exporter_secret');
    is(hex(aeadSeal(context.key, unhex(first.nonce), unhex(first.aad), unhex(first.pt))), first.ct,
        'RFC 9180: an encryption');

    for (const one of v.exports) {
        is(hex(await exportSecret(context, unhex(one.exporter_context))), one.exported_value,
            `RFC 9180: an export of ${one.exporter_context.length / 2} bytes`);
    }
}

const lowOrder = vectors('x25519_edge').low_order_or_zero;

for (const point of lowOrder) {
    const [check] = await outcome(() => setup(unhex(point.public), utf8('')));

    ok(check !== '', `refused: ${point.comment}, ${point.tcId}`);
}

ok(lowOrder.length > 0, 'there are points of low order');


// Oblivious HTTP: requests and whole responses

for (const v of vectors('ohttp_keyconfig').cases) {
    const usable = v.valid && v.usable !== false;

    is(parseConfig(unhex(v.blob))?.id ?? null, usable ? v.key_id : null, `key configuration: ${v.name}`);
}

{
    const config = (...rest) => parseConfig(concat([1, 0, 0x20], new Uint8Array(32), rest));

    is(config(0, 4, 0, 1, 0, 3)?.id, 1, 'a key configuration');
    is(config(0, 6, 0, 1, 0, 3, 0, 1), null, 'not one and a half suites');
    is(config(0, 8, 0, 1, 0, 3), null, 'not fewer than it says');
    is(config(0, 4, 0, 1, 0, 3, 0, 1, 0, 1), null, 'nor more');
}

const single = vectors('ohttp_single');
const ours = await pairOf(single.ephemeral.sk, single.ephemeral.pk);
const contexts = {};

for (const v of single.cases) {
    const config = parseConfig(concat(unhex(v.header).subarray(0, 3), unhex(single.recipient.pk), unhex('000400010003')));
    const sealed = await seal(config, unhex(v.request_plaintext_hex), ours);

    contexts[v.name] = sealed;
    is(hex(sealed.wire), v.wire, `a request: ${v.name}`);
    is(hex((await outcome(() => openWhole(sealed, pieces(unhex(v.response_wire), 7))))[1] ?? []),
        v.response_plaintext_hex, `its response: ${v.name}`);
}

for (const v of single.negative_responses) {
    is((await outcome(() => openWhole(contexts[v.base_case], pieces(unhex(v.response_wire)))))[0], 'opened',
        `a response that does not open: ${v.name}`);
}


// Responses in chunks

const chunked = vectors('ohttp_chunked');
const header = unhex(chunked.request.header);
const asked = await seal(parseConfig(concat(header.subarray(0, 3), unhex(chunked.recipient.pk), unhex('000400010003'))),
    unhex(chunked.request.plaintext_hex), await pairOf(chunked.ephemeral.sk, chunked.ephemeral.pk));

is(hex(asked.wire), chunked.request.wire, 'the request for chunks');

async function chunksOf(wire, size) {
    const got = [];
    const bytes = unhex(wire);
    const [check] = await outcome(async () => {
        for await (const text of openChunks(asked, pieces(bytes, size))) {
            got.push(hex(text));
        }
    });

    return [check, got];
}

for (const v of [...chunked.positive, ...chunked.policy.filter((one) => one.draft08.startsWith('accept'))]) {
    for (const size of [1, 5, 1000, undefined]) {
        const [check, got] = await chunksOf(v.wire, size);

        is(`${check} ${got}`, ` ${v.plaintexts_hex}`, `chunks, in pieces of ${size ?? 'all'}: ${v.name}`);
    }
}

for (const v of [...chunked.negative, ...chunked.policy.filter((one) => one.draft08 === 'reject'),
    ...chunked.billing.negatives.filter((one) => one.wire)]) {
    const [check, got] = await chunksOf(v.wire, 11);

    is(check, 'opened', `chunks that fail: ${v.name}`);

    if (v.plaintexts_before_failure !== undefined) {
        is(got.length, v.plaintexts_before_failure, `after ${got.length} good ones: ${v.name}`);
    }
}

{
    const { wire } = chunked.positive.filter((one) => one.plaintexts_hex.length > 1)
        .reduce((a, b) => (a.wire.length < b.wire.length ? a : b));
    const believed = [];

    for (let end = 0; end < wire.length; end += 2) {
        if ((await chunksOf(wire.slice(0, end)))[0] === '') {
            believed.push(end / 2);
        }
    }

    is(believed.join(), '', 'no chunked response that breaks off is believed, wherever it does');
}


{
    let read = 0;
    const endless = async function* () {
        yield concat(unhex(chunked.response_nonce), unhex('c000000100000000'));

        for (; read < 100; read++) {
            yield new Uint8Array(1024 * 1024);
        }
    };

    is((await outcome(() => all(openChunks(asked, endless()))))[0], 'opened', 'a chunk of 4 GiB');
    is(read, 0, 'is not waited for');
}


// Canonical JSON

{
    const counts = { right: 0, refused: 0 };

    for (const v of vectors('canonical_json').raw) {
        const [unread, value] = await outcome(() => JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
            .decode(unhex(v.input_hex))));

        if (unread) {
            counts.refused++;
            continue;
        }

        const [check, text] = await outcome(() => canonical(value));

        if (check) {
            ok(/[0-9]|NaN|Infinity/.test(v.canonical ?? v.input_text ?? '') || !v.ok, `canonical: ${v.name} is refused`, check);
            counts.refused++;

        } else {
            is(text, v.canonical, `canonical: ${v.name}`);
            is(hex(keccak256(utf8(text))), v.keccak256, `canonical: ${v.name}, its hash`);
            counts.right++;
        }
    }

    is(`${counts.right} ${counts.refused}`, '18 72', 'canonical: all but those with numbers, and what is not JSON');
}

for (const v of vectors('canonical_json').chat) {
    const body = JSON.parse(v.input_text ?? Buffer.from(v.input_hex, 'hex'));
    const [message, ...more] = body.messages ?? [];

    // what a page can ask: one question and nothing else
    if (Object.keys(body).sort().join() === 'messages,model' && more.length === 0 && message.role === 'user'
        && typeof message.content === 'string') {
        is(chat(body.model, message.content).signed, v.gateway.canonical, `chat: ${v.name}`);
    }
}


// Signatures

const keys = vectors('keys').rsa_keys;
const spki = (name) => Buffer.from(createPublicKey(keys[name].private_pkcs8_pem)
    .export({ type: 'spki', format: 'der' }));
const signatures = vectors('signatures');

for (const v of signatures.valid) {
    const message = messageHash(unhex(v.input_hash), unhex(v.output_hash), v.timestamp);

    is(hex(message), v.msg_hash, `what is signed: ${v.name}`);
    ok(await verifyPss(spki(v.key), unhex(v.signature), message), `a signature: ${v.name}`);
}

for (const v of signatures.invalid) {
    ok(!await verifyPss(spki(v.key), unhex(v.signature), unhex(v.msg_hash)), `no signature: ${v.name}`);
}

for (const v of signatures.base64_of_basic) {
    is(Boolean(unbase64(v.text)?.length), v.strict_ok, `base64: ${v.name}`);
}

const signedConfigs = vectors('ohttp_config_sig');

for (const v of signedConfigs.valid) {
    const bytes = unhex(v.key_config);

    is(hex(configHash(unhex(v.tee_id), parseConfig(bytes), bytes)), v.config_hash, `a signed key: ${v.name}`);

    if (v.endpoint_json) {
        const der = spki(v.signing_key ?? v.key).toString('base64');
        const tee = { tee_id: v.tee_id, signing_key: der, key_config: v.endpoint_json.key_config };

        is((await outcome(() => verifyConfig(tee, v.endpoint_json)))[0], '', `its signature: ${v.name}`);
    }
}

for (const v of signedConfigs.invalid) {
    const der = spki(v.signing_key);
    const genuine = { tee_id: `0x${hex(keccak256(der))}`, signing_key: der.toString('base64') };

    const tee = { ...genuine, key_config: v.endpoint_json.key_config };
    const [check] = await outcome(() => verifyConfig(tee, v.endpoint_json));

    // of what the TEE has signed, only the signature is read: it is about the
    // key that is sealed to, and the rest cannot deceive
    const unread = v.endpoint_json.key_config === signedConfigs.valid[1].endpoint_json.key_config;

    is(check, unread ? '' : 'key', `${unread ? 'not read' : 'no signed key'}: ${v.name}`);
}


// Streams and whole answers

async function verdict(v, answerOf) {
    const der = spki(v.verifies_under ?? 'tee_a');
    const tee = { tee_id: `0x${hex(keccak256(der))}`, signing_key: der.toString('base64') };
    const said = [];
    const [check, answer] = await outcome(async () => {
        const one = await answerOf();

        await verifyAnswer(tee, v.canonical_request, one, 1700000100, (name) => said.push(name));
        return one;
    });

    return [check, answer, said.join(' ')];
}

async function stream(bytes, size) {
    const answer = new Answer();

    for await (const data of events(pieces(bytes, size))) {
        if (data.trim() !== '[DONE]') {
            answer.event(data);
        }
    }

    return answer;
}

for (const v of vectors('sse_transcripts').cases) {
    const bytes = unhex(v.transcript_hex);
    const endings = { LF: '\n', CRLF: '\r\n', CR: '\r' };

    for (const [ending, to] of Object.entries(endings)) {
        const text = utf8(new TextDecoder().decode(bytes).replaceAll('\n', to));

        for (const size of [1, 7, 100, text.length]) {
            const [check, answer, said] = await verdict(v, () => stream(text, size));
            const name = `stream, ${ending}, by ${size === text.length ? 'one' : size}: ${v.name}`;

            if (v.expect === 'ok') {
                is(check, '', name);
                is(answer?.output() ?? null, v.signed_content, `what it says, ${name}`);
                is(said, 'tee request output signature time', `all checks, ${name}`);

            } else {
                ok(check !== '' && !said.includes('signature'), `refused, ${name}`, said);
            }
        }
    }
}

for (const v of vectors('response_bodies').cases.filter((one) => one.endpoint === 'chat')) {
    const [check, answer] = await verdict(v, () => {
        const one = new Answer();

        one.whole(new TextDecoder().decode(unhex(v.response_hex)));
        return one;
    });

    is(check === '' ? 'ok' : 'fail', v.expect, `a whole answer: ${v.name}`);

    if (v.expect === 'ok') {
        is(answer?.output(), v.signed_content, `what it says: ${v.name}`);
    }
}

// what no vector has

{
    const v = vectors('sse_transcripts').cases.find((one) => one.name === 'text');
    const text = Buffer.from(v.transcript_hex, 'hex').toString();
    const changed = async (make) => (await verdict(v, () => stream(utf8(make(text)))))[0];
    const extra = (object) => (t) => t.replace('data: [DONE]', `data: ${JSON.stringify(object)}\n\ndata: [DONE]`);

    is(await changed((t) => t), '', 'an answer');
    is(await changed(extra({ choices: [{ index: 0, delta: { content: '!' } }] })), 'output', 'more text behind the signature');
    is(await changed(extra({ choices: [{ index: 1, delta: { content: '' } }] })), 'output', 'another choice');
    is(await changed(extra({ choices: [{ index: 0, message: { content: 'x' } }] })), 'output', 'a message in a stream');
    is(await changed(extra({ choices: [{ index: 0, delta: { tool_calls: [{ index: 'length' }] } }] })), 'output',
        'a call that has no place');
    is(await changed(extra({ choices: [{ index: 0, delta: { content: '\ud800' } }] })), 'output', 'half a character');
    is(await changed(extra({ error: { message: 'x' } })), 'output', 'an error');
    is(await changed(extra({ choices: [{ index: 0, delta: {} }, { delta: {} }] })), 'output', 'two choices');
    is(await changed(extra([])), '', 'a list, which says nothing');
    is(await changed(extra(null)), 'output', 'null');
    is(await changed((t) => t.replace(/"tee_id": "0x../, '"tee_id": "0xff')), 'tee', 'another TEE');
    is(await changed((t) => t.replace(/"tee_timestamp": \d/, '"tee_timestamp": 2')), 'signature', 'another time');
    is(await changed((t) => t.replace(/"tee_timestamp": \d+/, '"tee_timestamp": {}')), 'signature', 'no time');
    is(await changed((t) => t.replace(/"tee_timestamp": (\d+)/, '"tee_timestamp": [$1]')), 'signature', 'a list of times');
    is(await changed((t) => t.replace(/"tee_timestamp": (\d+)/, '"tee_timestamp": "$1"')), '', 'a time in quotes');
    is(await changed((t) => t.replace(/"tee_signature"/, '"signature"')), 'tee', 'no signature');

    const answer = await stream(utf8(text));
    const der = spki('tee_a');
    const tee = { tee_id: hex(keccak256(der)), signing_key: der.toString('base64') };
    const at = (now) => outcome(() => verifyAnswer(tee, v.canonical_request, answer, now, () => {})).then(([check]) => check);

    is(await at(1700000000 - 300), '', 'signed 5 minutes ahead');
    is(await at(1700000000 - 301), 'time', 'signed more than 5 minutes ahead');
    is(await at(1700000000 + 3600), '', 'signed an hour ago');
    is(await at(1700000000 + 3601), 'time', 'signed more than an hour ago');
}

{
    // a script's own order of texts is another one
    is(canonical({ '\u{10000}': '', '\uffff': '', a: '', '': '' }),
        '{"": "", "a": "", "\\uffff": "", "\\ud800\\udc00": ""}', 'names are sorted by code points');
    is(canonical('\x7f/\u2028\ud83d\ude00\x1f"\\\t'), '"\\u007f/\\u2028\\ud83d\\ude00\\u001f\\"\\\\\\t"', 'escapes');

    const lines = ': x\n\ndata:a\ndata: b\nevent: y\ndata\n\n\ndata:c';

    for (const end of ['\n', '\r\n', '\r']) {
        for (const size of [1, 2, 3, 100]) {
            is(JSON.stringify(await all(events(pieces(utf8(lines.replaceAll('\n', end)), size)))), '["a\\nb\\n","c"]',
                `events of several lines, and one without an end, by ${size}, ${JSON.stringify(end)}`);
        }
    }
}

// answers that the vectors' keys have not signed

{
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const der = publicKey.export({ type: 'spki', format: 'der' });
    const tee = { tee_id: hex(keccak256(der)), signing_key: der.toString('base64') };
    const question = chat('m', 'x').signed;

    // a stream whose events are these bytes, and what is signed of it
    const signedAs = async (output, body, reason) => {
        const [request, hash] = [keccak256(utf8(question)), keccak256(utf8(output))];
        const signature = sign('sha256', messageHash(request, hash, 1700000100),
            { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
        const last = JSON.stringify({
            choices: [{ index: 0, delta: {}, finish_reason: reason }],
            tee_id: tee.tee_id,
            tee_request_hash: hex(request),
            tee_output_hash: hex(hash),
            tee_timestamp: 1700000100,
            tee_signature: signature.toString('base64'),
        });

        return (await outcome(async () => {
            const answer = await stream(concat(body, utf8(`\n\ndata: ${last}\n\n`)));

            await verifyAnswer(tee, question, answer, 1700000100, () => {});
        }))[0];
    };
    const delta = (text) => utf8(`data: {"choices":[{"index":0,"delta":${text}}]}`);
    const call = (id) => delta(`{"tool_calls":[{"index":0,${id}"function":{"name":"f","arguments":"{}"}}]}`);
    const calls = (id) => `[{"function": {"arguments": "{}", "name": "f"}, "id": ${id}, "type": "function"}]`;

    is(await signedAs('x', delta('{"content":"x"}'), 'stop'), '', 'an answer of our own');
    is(await signedAs('\ufffd', delta('{"content":"\\ufffd"}'), 'stop'), '', 'a replacement character');
    is(await signedAs('\ufffd', delta('{"content":"\\ud800"}'), 'stop'), 'output', 'is not half of another');
    ok(await signedAs('\ufffd', concat(utf8('data: {"choices":[{"index":0,"delta":{"content":"'), [0xff],
        utf8('"}}]}')), 'stop') !== '', 'nor what is no UTF-8');
    is(await signedAs(calls('"a"'), call('"id":"a",'), 'tool_calls'), '', 'a call');
    is(await signedAs(calls('null'), call(''), 'tool_calls'), '', 'a call without an id, as the gateway has it');
    is(await signedAs(calls('""'), call(''), 'tool_calls'), '', 'and as the SDK has it');
    is(await signedAs(calls('""'), call('"id":"a",'), 'tool_calls'), 'output', 'but with another id it is not the same');
    is(await signedAs(calls('"a"'), call('"id":"a",'), 'stop'), 'output', 'calls that have not ended as such');
}

console.log('done');
