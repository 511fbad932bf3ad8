// The client's side of Oblivious HTTP in OpenGradient's profile: seals one
// request, and opens the response to it, whole or as it comes.

import { concat, hex, must, u16, utf8 } from './bytes.mjs';
import { aeadOpen, aeadSeal } from './primitives.mjs';

const { subtle } = globalThis.crypto;

const MAX_CHUNK = 64 * 1024 * 1024;     // a picture comes in one


// HPKE, RFC 9180: base mode, X25519, HKDF-SHA256, ChaCha20-Poly1305

const SUITE = [0x00, 0x20, 0x00, 0x01, 0x00, 0x03];
const KEM_ID = [...utf8('KEM'), 0x00, 0x20];
const HPKE_ID = [...utf8('HPKE'), ...SUITE];

async function hmac(key, ...data) {
    const k = await subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);

    return new Uint8Array(await subtle.sign('HMAC', k, concat(...data)));
}

// HKDF-Expand() for up to 32 bytes

const expand = async (prk, info, length) => (await hmac(prk, info, [1])).subarray(0, length);

// without a salt, it is as many zeros as a hash has bytes

const labeledExtract = (id, label, ikm) => hmac(new Uint8Array(32), utf8('HPKE-v1'), id, utf8(label), ikm);

const labeledExpand = (id, prk, label, info, length) =>
    expand(prk, concat(u16(length), utf8('HPKE-v1'), id, utf8(label), info), length);

// "pair" is the client's ephemeral key, of this one message

export async function setup(publicKey, info, pair) {
    const to = await subtle.importKey('raw', publicKey, 'X25519', true, []);
    const from = pair ?? await subtle.generateKey('X25519', false, ['deriveBits']);
    const enc = new Uint8Array(await subtle.exportKey('raw', from.publicKey));
    const dh = new Uint8Array(await subtle.deriveBits({ name: 'X25519', public: to }, from.privateKey, 256));

    must('sealed', dh.some((byte) => byte !== 0), 'The key of the TEE is no key that can be used.');

    const shared = await labeledExpand(KEM_ID, await labeledExtract(KEM_ID, 'eae_prk', dh), 'shared_secret',
        concat(enc, publicKey), 32);
    const context = concat([0], await labeledExtract(HPKE_ID, 'psk_id_hash', []),
        await labeledExtract(HPKE_ID, 'info_hash', info));

    // the shared secret is the salt
    const secret = await hmac(shared, utf8('HPKE-v1'), HPKE_ID, utf8('secret'));

    return {
        enc,
        key: await labeledExpand(HPKE_ID, secret, 'key', context, 32),
        nonce: await labeledExpand(HPKE_ID, secret, 'base_nonce', context, 12),
        exporter: await labeledExpand(HPKE_ID, secret, 'exp', context, 32),
    };
}

export const exportSecret = (context, text) => labeledExpand(HPKE_ID, context.exporter, 'sec', text, 32);


// Oblivious HTTP, RFC 9458

// A key configuration (3.1) that has our algorithms, or null

export function parseConfig(config) {
    const suites = config?.subarray(37) ?? [];
    const ours = hex(SUITE.slice(2));

    if (suites.length < 4 || suites.length % 4 !== 0 || hex(config.subarray(1, 3)) !== '0020'
        || hex(config.subarray(35, 37)) !== hex(u16(suites.length))
        || !hex(suites).match(/.{8}/g).includes(ours)) {
        return null;
    }

    return { id: config[0], publicKey: config.subarray(3, 35), header: Uint8Array.of(config[0], ...SUITE) };
}

export async function seal(config, text, pair) {
    const { header, publicKey } = config;
    const context = await setup(publicKey, concat(utf8('message/bhttp request\0'), header), pair);

    return { ...context, wire: concat(header, context.enc, aeadSeal(context.key, context.nonce, [], text)) };
}

// What opens the parts of a response, one after the other

export async function opener(context, kind, nonce) {
    const secret = await exportSecret(context, utf8(`message/bhttp ${kind}`));
    const prk = await hmac(concat(context.enc, nonce), secret);
    const key = await expand(prk, utf8('key'), 32);
    const base = await expand(prk, utf8('nonce'), 12);
    let n = 0;

    return (sealed, aad) => {
        const current = Uint8Array.from(base);
        const low = new DataView(current.buffer, 8);

        low.setUint32(0, low.getUint32(0) ^ n++);

        const text = aeadOpen(key, current, utf8(aad), sealed);

        must('opened', text, `Part ${n} of the answer does not open: it has been changed, or one before it is missing.`);
        return text;
    };
}

// Bytes that come in pieces of any length

class Pieces {
    constructor(source) {
        this.source = source[Symbol.asyncIterator]();
        this.bytes = new Uint8Array(0);
    }

    // up to n bytes

    async some(n) {
        const parts = [this.bytes];
        let have = this.bytes.length;

        while (have < n) {
            const { value, done } = await this.source.next();

            if (done) {
                break;
            }

            parts.push(value);
            have += value.length;
        }

        const all = parts.length > 1 ? concat(...parts) : this.bytes;

        this.bytes = all.subarray(n);
        return all.subarray(0, n);
    }

    async take(n) {
        const bytes = await this.some(n);

        must('opened', bytes.length === n, 'The answer breaks off: its end is missing.');
        return bytes;
    }

    // QUIC's integers, RFC 9000, 16

    async varint() {
        const [first] = await this.take(1);
        const rest = await this.take((1 << (first >> 6)) - 1);

        return rest.reduce((n, byte) => n * 256 + byte, first & 63);
    }
}

export async function openWhole(context, source) {
    const from = new Pieces(source);
    const open = await opener(context, 'response', await from.take(32));

    return open(await from.some(MAX_CHUNK), '');
}

// The chunks of a response (draft-ietf-ohai-chunked-ohttp, 6); the last one is
// marked as such, so that one who cuts it off is found out.

export async function* openChunks(context, source) {
    const from = new Pieces(source);
    const open = await opener(context, 'chunked response', await from.take(32));

    for (let length; (length = await from.varint()) > 0;) {
        must('opened', length > 16 && length <= MAX_CHUNK, 'A part of the answer has a length that it cannot have.');
        yield open(await from.take(length), '');
    }

    yield open(await from.some(MAX_CHUNK), 'final');
}
