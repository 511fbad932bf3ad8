// Asks a gateway with @hpke/core.  The framing of Oblivious HTTP and Binary
// HTTP is written here; everything of HPKE is the library's.
//
//     node hpke.mjs URL KEYS KEM AEAD (single|chunked) SIZE
//
// KEYS is where the gateway has its key list; "" takes URL.  Sends POST /echo
// with SIZE bytes of content inside, and prints what came of it.

import { createDecipheriv, createHmac } from 'node:crypto';
import { Aes128Gcm, Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { Chacha20Poly1305 } from '@hpke/chacha20poly1305';

const KEMS = { 0x10: [DhkemP256HkdfSha256, 65], 0x20: [DhkemX25519HkdfSha256, 32] };
const AEADS = {
    1: [Aes128Gcm, 'aes-128-gcm', 16],
    2: [Aes256Gcm, 'aes-256-gcm', 32],
    3: [Chacha20Poly1305, 'chacha20-poly1305', 32],
};

const [url, keysUrl, kemArg, aeadArg, mode, size] = process.argv.slice(2);
const [kem, aead] = [Number(kemArg), Number(aeadArg)];
const chunked = mode === 'chunked';
const what = chunked ? 'chunked ' : '';
const ascii = (text) => Buffer.from(text, 'latin1');


// Variable-length integers and Binary HTTP

function varint(n) {
    if (n < 64) {
        return Buffer.from([n]);
    }

    const b = Buffer.alloc(n < 16384 ? 2 : 4);

    n < 16384 ? b.writeUInt16BE(n | 0x4000) : b.writeUInt32BE((n | 0x80000000) >>> 0);
    return b;
}

class Reader {
    constructor(bytes) {
        this.bytes = bytes;
        this.at = 0;
    }

    get end() {
        return this.at === this.bytes.length;
    }

    take(n) {
        if (this.at + n > this.bytes.length) {
            throw new Error('cut');
        }

        this.at += n;
        return this.bytes.subarray(this.at - n, this.at);
    }

    varint() {
        const width = 1 << (this.take(1)[0] >> 6);
        const rest = [this.bytes[this.at - 1] & 63, ...this.take(width - 1)];

        return rest.reduce((n, byte) => n * 256 + byte, 0);
    }

    text() {
        return this.take(this.varint());
    }

    fields(indeterminate) {
        const list = [];
        const from = indeterminate ? this : new Reader(this.end ? ascii('') : this.text());

        while (!from.end) {
            const name = from.text();

            if (name.length === 0) {
                break;
            }

            list.push([name.toString(), from.text().toString()]);
        }

        return list;
    }

    content(indeterminate) {
        if (!indeterminate) {
            return this.end ? ascii('') : this.text();
        }

        const chunks = [];

        for (let chunk; !this.end && (chunk = this.text()).length > 0;) {
            chunks.push(chunk);
        }

        return Buffer.concat(chunks);
    }
}

const pack = (bytes) => Buffer.concat([varint(bytes.length), bytes]);

function bhttpRequest(content) {
    const fields = ['content-type', 'text/plain'].map((text) => pack(ascii(text)));

    return Buffer.concat([varint(0), ...['POST', 'https', 'inside.example', '/echo'].map((text) => pack(ascii(text))),
        pack(Buffer.concat(fields)), pack(content), varint(0)]);
}

function bhttpResponse(bytes) {
    const r = new Reader(bytes);
    const form = r.varint();
    const indeterminate = form === 3;

    if (form !== 1 && form !== 3) {
        throw new Error('not a response');
    }

    let status;
    let fields;

    do {
        status = r.varint();
        fields = r.fields(indeterminate);
    } while (status < 200);

    return { status, fields, content: r.content(indeterminate), trailers: r.fields(indeterminate) };
}


// The key list, RFC 9458, 3.2

function keys(list) {
    const all = new Reader(list);
    const found = [];

    while (!all.end) {
        const length = all.take(2).readUInt16BE();
        const one = new Reader(all.take(length));
        const key = { id: one.take(1)[0], kem: one.take(2).readUInt16BE() };

        if (KEMS[key.kem]) {
            key.pk = one.take(KEMS[key.kem][1]);
            key.suites = one.take(one.take(2).readUInt16BE()).toString('hex').match(/.{8}/g);
            found.push(key);
        }
    }

    return found;
}


// Sealing and opening

async function context() {
    const response = await fetch(keysUrl || url, { headers: { accept: 'application/ohttp-keys' } });
    const list = Buffer.from(await response.arrayBuffer());
    const pair = `0001000${aead}`;
    const key = keys(list).find((k) => k.kem === kem && k.suites.includes(pair));

    if (!key) {
        throw new Error(`no such key in ${list.toString('hex')}`);
    }

    const suite = new CipherSuite({ kem: new KEMS[kem][0](), kdf: new HkdfSha256(), aead: new AEADS[aead][0]() });
    const header = Buffer.alloc(7);

    header[0] = key.id;
    header.writeUInt16BE(kem, 1);
    header.writeUInt16BE(1, 3);
    header.writeUInt16BE(aead, 5);

    const sender = await suite.createSenderContext({
        recipientPublicKey: await suite.kem.deserializePublicKey(key.pk),
        info: Buffer.concat([ascii(`message/bhttp ${what}request\0`), header]),
    });

    return { header, sender, enc: Buffer.from(sender.enc) };
}

async function seal({ header, enc, sender }, text) {
    const parts = [header, enc];

    if (!chunked) {
        parts.push(Buffer.from(await sender.seal(text)));
        return Buffer.concat(parts);
    }

    for (let at = 0; at < text.length; at += 16384) {
        parts.push(pack(Buffer.from(await sender.seal(text.subarray(at, at + 16384)))));
    }

    parts.push(varint(0), Buffer.from(await sender.seal(ascii(''), ascii('final'))));
    return Buffer.concat(parts);
}

const hmac = (key, ...data) => createHmac('sha256', key).update(Buffer.concat(data)).digest();

async function open({ enc, sender }, bytes) {
    const [, cipher, length] = AEADS[aead];
    const size = Math.max(length, 12);
    const secret = Buffer.from(await sender.export(ascii(`message/bhttp ${what}response`), size));
    const prk = hmac(Buffer.concat([enc, bytes.subarray(0, size)]), secret);
    const key = hmac(prk, ascii('key\x01')).subarray(0, length);
    const base = hmac(prk, ascii('nonce\x01')).subarray(0, 12);
    let seq = 0;

    const one = (sealed, aad) => {
        const nonce = Buffer.from(base);

        nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ seq++) >>> 0, 8);

        const d = createDecipheriv(cipher, key, nonce, { authTagLength: 16 });

        d.setAAD(ascii(aad));
        d.setAuthTag(sealed.subarray(-16));
        return Buffer.concat([d.update(sealed.subarray(0, -16)), d.final()]);
    };

    if (!chunked) {
        return one(bytes.subarray(size), '');
    }

    const r = new Reader(bytes.subarray(size));
    const texts = [];

    for (let n; (n = r.varint()) > 0;) {
        texts.push(one(r.take(n), ''));
    }

    texts.push(one(r.take(r.bytes.length - r.at), 'final'));
    return Buffer.concat(texts);
}

const content = Buffer.alloc(Number(size), 'a');
const exchange = await context();
const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': `message/ohttp-${chunked ? 'chunked-' : ''}req` },
    body: await seal(exchange, bhttpRequest(content)),
});
const sealed = Buffer.from(await response.arrayBuffer());

console.log(`gateway ${response.status}`);
console.log(`type ${response.headers.get('content-type')}`);

const inside = bhttpResponse(await open(exchange, sealed));

console.log(`inside ${inside.status}`);
console.log(`length ${inside.content.length}`);
console.log(`echo ${inside.content.equals(Buffer.concat([ascii('POST /echo '), content]))}`);
