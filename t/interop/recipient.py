"""OpenGradient's gateway, made of parts from PyPI: pyhpke opens, cryptography seals and signs.

    recipient.py CERT KEY HPKE_KEY SIGNING_KEY

Prints its port and serves POST /v1/ohttp over TLS until its standard input ends.  What the last message of a chat says,
a word each, decides about the answer; all else is answered "You said: ...".

    envelope        {"status": 200, "body": ...}
    error           {"status": 400, "body": {"error": ...}}, sealed
    plain-503       not sealed
    no-bill         a stream without the billing frame
    tool            a call of a tool
    long            many words
    fail            a stream whose last event is an error
"""

import base64
import json
import os
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from eth_hash.auto import keccak
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey

SUITE = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.CHACHA20_POLY1305)
BILL = b"\n--opengradient-ohttp-billing-v1--\n"


# -- sealing: RFC 9458, 4.3 and 4.4, and the draft about chunks


def unseal(key, wire):
    """The text, and what seals the answer: a function for a whole one, and one for a stream."""
    if wire[:7] != bytes.fromhex("01002000010003") or len(wire) < 55:
        raise ValueError("malformed")

    enc = wire[7:39]
    context = SUITE.create_recipient_context(enc, key, info=b"message/bhttp request\0" + wire[:7])
    text = context.open(wire[39:])

    def keys(label):
        nonce = os.urandom(32)
        mac = hmac.HMAC(enc + nonce, hashes.SHA256())
        mac.update(context.export(label, 32))
        prk = mac.finalize()
        expand = lambda info, n: HKDFExpand(hashes.SHA256(), n, info).derive(prk)
        return nonce, ChaCha20Poly1305(expand(b"key", 32)), int.from_bytes(expand(b"nonce", 12))

    def whole(answer):
        nonce, aead, n = keys(b"message/bhttp response")
        return nonce + aead.encrypt(n.to_bytes(12), answer, b"")

    def stream(events, bill):
        nonce, aead, n = keys(b"message/bhttp chunked response")
        yield nonce
        for i, event in enumerate(events):
            final = i == len(events) - 1
            sealed = aead.encrypt((n ^ i).to_bytes(12), event, b"final" if final else b"")
            if final:
                yield (BILL + len(bill).to_bytes(4) + bill if bill else b"") + b"\0" + sealed
            else:
                yield varint(len(sealed)) + sealed

    return text, whole, stream


def varint(n):
    size, mark = next((s, m) for s, m in ((1, 0), (2, 1), (4, 2), (8, 3)) if n < 1 << (8 * s - 2))
    return (n | mark << (8 * size - 2)).to_bytes(size)


# -- signing, as the gateway's tee_manager does


def canonical(body):
    messages = [{"role": m["role"], "content": m["content"]} for m in body["messages"]]
    signed = {"model": body["model"], "messages": messages, "temperature": body.get("temperature", 1.0)}
    for name in ("max_tokens", "stop", "tools", "response_format", "web_search", "aspect_ratio"):
        if body.get(name):
            signed[name] = body[name]

    return json.dumps(signed, sort_keys=True).encode()


def members(key, body, content):
    asked, said, now = keccak(canonical(body)), keccak(content.encode()), int(time.time())
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    signature = key.sign(
        keccak(asked + said + now.to_bytes(32)),
        padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH),
        hashes.SHA256(),
    )
    return {
        "tee_signature": base64.b64encode(signature).decode(),
        "tee_request_hash": asked.hex(),
        "tee_output_hash": said.hex(),
        "tee_timestamp": now,
        "tee_id": "0x" + keccak(spki).hex(),
    }


# -- answers


def last(body):
    return body["messages"][-1]["content"]


def says(body):
    """A text, and calls."""
    text = last(body)
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": json.dumps({"at": "Zürich"})}}

    if "tool" in text.split():
        return "", [call]

    return "You said: " + text + (" more" * 5000 if "long" in text.split() else ""), []


def whole(key, body):
    text, calls = says(body)
    message = {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}
    answer = {
        "id": "x", "object": "chat.completion", "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
    }
    answer.update(members(key, body, json.dumps(calls, sort_keys=True) if calls else text))
    answer = {"status": 200, "body": answer} if "envelope" in last(body).split() else answer
    return json.dumps(answer, ensure_ascii="long" not in last(body)).encode()


def events(key, body):
    text, calls = says(body)
    choice = lambda delta, finish=None: {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    words = text.split(" ")
    out = [choice({"role": "assistant", "content": ""})]
    out += [choice({"content": w if i == 0 else " " + w}) for i, w in enumerate(words)] if text else []

    for i, call in enumerate(calls):
        f = call["function"]
        out.append(choice({"tool_calls": [{**call, "index": i, "function": {"name": f["name"], "arguments": ""}}]}))
        out += [choice({"tool_calls": [{"index": i, "function": {"arguments": c}}]}) for c in f["arguments"]]

    if "fail" in last(body).split():
        return [sse(e) for e in out + [{"error": "asked to fail", "source": "provider"}]]

    end = choice({}, "tool_calls" if calls else "stop")
    end.update(members(key, body, json.dumps(calls, sort_keys=True) if calls else text))
    return [sse(e) for e in out + [end]] + [b"data: [DONE]\n\n"]


def sse(event):
    return b"data: " + json.dumps(event).encode() + b"\n\n"


# -- HTTP


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        wire = self.rfile.read(int(self.headers["Content-Length"]))

        try:
            text, seal, stream = unseal(self.server.hpke, wire)
        except Exception:
            return self.answer(400, "application/json", b'{"error":"malformed encapsulated request"}')

        body = json.loads(text)
        words = last(body).split()

        if "plain-503" in words:
            return self.answer(503, "application/json", b'{"error":"secret"}')
        if "error" in words:
            return self.answer(200, "message/ohttp-res", seal(json.dumps({"status": 400, "body": {"error": "no"}}).encode()))
        if not body.get("stream"):
            return self.answer(200, "message/ohttp-res", seal(whole(self.server.sign, body)))

        bill = b"" if "no-bill" in words else b'{"cost_opg":"5","cost_usd":"0.1","opg_price_usd":"2"}'
        self.send_response(200)
        self.send_header("Content-Type", "message/ohttp-chunked-res")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

        for chunk in stream(events(self.server.sign, body), bill):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")


def private(file):
    with open(file, "rb") as f:
        return serialization.load_pem_private_key(f.read(), None)


def main(cert, key, hpke, sign):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.hpke, server.sign = KEMKey.from_pyca_cryptography_key(private(hpke)), private(sign)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


main(*sys.argv[1:])
