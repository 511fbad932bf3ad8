// What the others share: bytes as texts and back, and checks that fail.

// A check has failed: one of those that ask() reports.

export class Failure extends Error {
    constructor(check, message) {
        super(message);
        this.check = check;
    }
}

export function must(check, ok, message) {
    if (!ok) {
        throw new Failure(check, message);
    }
}


// Bytes

export const utf8 = (text) => new TextEncoder().encode(text);
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

export const equal = (a, b) => hex(a) === hex(b);
export const u16 = (n) => [n >> 8, n & 255];

export function concat(...parts) {
    const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
    let at = 0;

    for (const part of parts) {
        out.set(part, at);
        at += part.length;
    }

    return out;
}

// With or without 0x; null if it is something else

export function unhex(text, length) {
    const digits = /^(?:0x)?((?:[0-9a-f]{2})*)$/i.exec(text)?.[1];
    const bytes = digits !== undefined && Uint8Array.from(digits.match(/../g) ?? [], (two) => parseInt(two, 16));

    return bytes && (length === undefined || bytes.length === length) ? bytes : null;
}

// Canonical base64, or null

export function unbase64(text) {
    try {
        const bytes = atob(text);

        return btoa(bytes) === text ? Uint8Array.from(bytes, (c) => c.charCodeAt(0)) : null;
    } catch {
        return null;
    }
}
