// What WebCrypto does not have: ChaCha20-Poly1305 (RFC 8439) and Keccak-256.
// They are short rather than fast, and constant time is not claimed: that is
// not for a script to promise.

const words = (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

    return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true));
};

const rotl = (x, n) => (x << n) | (x >>> (32 - n));


// ChaCha20, RFC 8439, 2.3 and 2.4

function quarterRound(s, a, b, c, d) {
    s[a] += s[b];
    s[d] = rotl(s[d] ^ s[a], 16);
    s[c] += s[d];
    s[b] = rotl(s[b] ^ s[c], 12);
    s[a] += s[b];
    s[d] = rotl(s[d] ^ s[a], 8);
    s[c] += s[d];
    s[b] = rotl(s[b] ^ s[c], 7);
}

function chachaBlock(key, counter, nonce) {
    const start = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, ...key, counter, ...nonce];
    const s = new Uint32Array(start);
    const out = new DataView(new ArrayBuffer(64));

    for (let round = 0; round < 10; round++) {
        for (let i = 0; i < 4; i++) {
            quarterRound(s, i, i + 4, i + 8, i + 12);
        }

        for (let i = 0; i < 4; i++) {
            quarterRound(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
        }
    }

    start.forEach((word, i) => out.setUint32(4 * i, word + s[i], true));

    return new Uint8Array(out.buffer);
}

export function chacha20(key, counter, nonce, bytes) {
    const [k, n] = [words(key), words(nonce)];
    const out = Uint8Array.from(bytes);

    for (let at = 0; at < out.length; at += 64) {
        const stream = chachaBlock(k, counter++, n);
        const end = Math.min(64, out.length - at);

        for (let i = 0; i < end; i++) {
            out[at + i] ^= stream[i];
        }
    }

    return out;
}


// Poly1305, RFC 8439, 2.5

const P = 2n ** 130n - 5n;
const R = 0x0ffffffc0ffffffc0ffffffc0fffffffn;

const number = (bytes) => words(bytes).reduceRight((n, word) => (n << 32n) | BigInt(word), 0n);

export function poly1305(key, bytes) {
    const r = number(key.subarray(0, 16)) & R;
    const tag = new DataView(new ArrayBuffer(16));
    let a = 0n;

    for (let at = 0; at < bytes.length; at += 16) {
        const block = new Uint8Array(20);
        const part = bytes.subarray(at, at + 16);

        block.set(part);
        block[part.length] = 1;
        a = (a + number(block)) * r % P;
    }

    a += number(key.subarray(16));
    tag.setBigUint64(0, BigInt.asUintN(64, a), true);
    tag.setBigUint64(8, BigInt.asUintN(64, a >> 64n), true);

    return new Uint8Array(tag.buffer);
}


// The AEAD, RFC 8439, 2.8

function tagOf(key, nonce, aad, sealed) {
    const pad = (n) => Math.ceil(n / 16) * 16;
    const at = pad(aad.length) + pad(sealed.length);
    const text = new Uint8Array(at + 16);
    const lengths = new DataView(text.buffer, at);

    text.set(aad);
    text.set(sealed, pad(aad.length));
    lengths.setUint32(0, aad.length, true);
    lengths.setUint32(8, sealed.length, true);

    return poly1305(chacha20(key, 0, nonce, new Uint8Array(32)), text);
}

export function aeadSeal(key, nonce, aad, text) {
    const sealed = chacha20(key, 1, nonce, text);
    const out = new Uint8Array(sealed.length + 16);

    out.set(sealed);
    out.set(tagOf(key, nonce, aad, sealed), sealed.length);

    return out;
}

// null if it does not open

export function aeadOpen(key, nonce, aad, sealed) {
    const at = sealed.length - 16;

    if (at < 0) {
        return null;
    }

    const tag = tagOf(key, nonce, aad, sealed.subarray(0, at));
    const differ = tag.reduce((all, byte, i) => all | (byte ^ sealed[at + i]), 0);

    return differ ? null : chacha20(key, 1, nonce, sealed.subarray(0, at));
}


// Keccak-256: FIPS 202 with the padding of Keccak's own submission, as Ethereum
// has it.  Lanes are truncated to 64 bits where they are stored.

const RATE = 136;

const ROUNDS = [
    0x0000000000000001n, 0x0000000000008082n, 0x800000000000808an, 0x8000000080008000n,
    0x000000000000808bn, 0x0000000080000001n, 0x8000000080008081n, 0x8000000000008009n,
    0x000000000000008an, 0x0000000000000088n, 0x0000000080008009n, 0x000000008000000an,
    0x000000008000808bn, 0x800000000000008bn, 0x8000000000008089n, 0x8000000000008003n,
    0x8000000000008002n, 0x8000000000000080n, 0x000000000000800an, 0x800000008000000an,
    0x8000000080008081n, 0x8000000000008080n, 0x0000000080000001n, 0x8000000080008008n,
];

const rotl64 = (x, n) => (x << BigInt(n)) | (x >> BigInt(64 - n));

function keccakF(a) {
    const c = new BigUint64Array(5);

    for (const constant of ROUNDS) {
        for (let x = 0; x < 5; x++) {
            c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
        }

        for (let i = 0; i < 25; i++) {
            a[i] ^= c[(i + 4) % 5] ^ rotl64(c[(i + 1) % 5], 1);
        }

        let [x, y, lane] = [1, 0, a[1]];

        for (let t = 1; t < 25; t++) {
            [x, y] = [y, (2 * x + 3 * y) % 5];

            const i = x + 5 * y;
            const next = a[i];

            a[i] = rotl64(lane, t * (t + 1) / 2 % 64);
            lane = next;
        }

        for (let at = 0; at < 25; at += 5) {
            const row = a.slice(at, at + 5);

            for (let i = 0; i < 5; i++) {
                a[at + i] = row[i] ^ (~row[(i + 1) % 5] & row[(i + 2) % 5]);
            }
        }

        a[0] ^= constant;
    }
}

export function keccak256(bytes) {
    const state = new BigUint64Array(25);
    const text = new Uint8Array((Math.floor(bytes.length / RATE) + 1) * RATE);
    const lanes = new DataView(text.buffer);
    const out = new DataView(new ArrayBuffer(32));

    text.set(bytes);
    text[bytes.length] ^= 0x01;
    text[text.length - 1] ^= 0x80;

    for (let at = 0; at < text.length; at += RATE) {
        for (let i = 0; i < RATE / 8; i++) {
            state[i] ^= lanes.getBigUint64(at + 8 * i, true);
        }

        keccakF(state);
    }

    for (let i = 0; i < 4; i++) {
        out.setBigUint64(8 * i, state[i], true);
    }

    return new Uint8Array(out.buffer);
}
