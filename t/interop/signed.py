"""What OpenGradient's SDK thinks of signed answers, and a signer without our code.

Reads a list of cases, and prints a line of JSON for each: {"name", "error"}, or {"name", "answer"}.

    {"do": "verify", "key": FILE, "name", "request", "answer", "stream"}     public key in PEM
    {"do": "sign", "key": FILE, "name", "request", "answer" or "events"}     private key in PEM
"""

import base64
import functools
import json
import sys
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from eth_hash.auto import keccak
from opengradient.client import tee_ohttp_client as client
from opengradient.client import tee_verify


def read_stream(text):
    """As the client reads the events of a stream."""
    content, calls, final = "", {}, None

    for event in client._iter_sse_objects(text):
        content += client._delta_content(event)
        client._accumulate_tool_calls(calls, event)
        if isinstance(event.get("tee_signature"), str) or isinstance(event.get("tee_output_hash"), str):
            final = event

    if final is None:
        raise tee_verify.VerificationError("no signed final frame")

    if client._finish_reason(final) == "tool_calls" and calls:
        content = json.dumps([calls[i] for i in sorted(calls)], sort_keys=True)

    return final, content


def verify(pem, case):
    _, canonical = tee_verify.build_inner_request(json.loads(case["request"]))

    if case.get("stream"):
        body, content = read_stream(case["answer"])
    else:
        body = json.loads(case["answer"])
        content = tee_verify.response_content_for_hash(body)

    tee_verify.verify_response(
        canonical_request=canonical,
        response_body=body,
        response_content=content,
        signing_key_pem=pem,
        expected_tee_id=tee_verify.tee_id_for_key(pem),
    )


def members(key, request, content):
    _, canonical = tee_verify.build_inner_request(json.loads(request))
    asked = keccak(json.dumps(canonical, sort_keys=True).encode())
    said = keccak(content.encode())
    now = int(time.time())
    signature = key.sign(
        keccak(asked + said + now.to_bytes(32, "big")),
        padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32),
        hashes.SHA256(),
    )
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "tee_signature": base64.b64encode(signature).decode(),
        "tee_timestamp": now,
        "tee_request_hash": asked.hex(),
        "tee_output_hash": said.hex(),
        "tee_id": "0x" + keccak(spki).hex(),
    }


def sign(key, case):
    if "events" not in case:
        body = case["answer"]
        body.update(members(key, case["request"], tee_verify.response_content_for_hash(body)))
        return json.dumps(body)

    content, calls, finish = "", {}, None

    for event in case["events"]:
        content += client._delta_content(event)
        client._accumulate_tool_calls(calls, event)
        finish = client._finish_reason(event) or finish

    if finish == "tool_calls" and calls:
        content = json.dumps([calls[i] for i in sorted(calls)], sort_keys=True)

    case["events"][-1].update(members(key, case["request"], content))
    return "".join("data: %s\n\n" % json.dumps(e) for e in case["events"]) + "data: [DONE]\n\n"


@functools.lru_cache
def read_key(file, private):
    with open(file, "rb") as f:
        pem = f.read()

    return serialization.load_pem_private_key(pem, None) if private else pem.decode()


def main():
    for case in json.load(sys.stdin):
        out = {"name": case["name"]}
        private = case["do"] == "sign"

        try:
            key = read_key(case["key"], private)
            if private:
                out["answer"] = sign(key, case)
            else:
                verify(key, case)

        except Exception as e:
            out["error"] = "%s: %s" % (type(e).__name__, e)

        print(json.dumps(out), flush=True)


main()
