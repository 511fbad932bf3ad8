"""Chats through a relay with OpenGradient's SDK, as it comes.

    sdk.py RPC CONTRACT RELAY < cases.json

Reads a list of {"name", "kind", "body"}, kind being "single", "stream" or
"confidential", and prints what the SDK made of each as one line of JSON.
"""

import json
import sys

import opengradient
from opengradient.client.tee_ohttp_client import OhttpRelayClient
from opengradient.client.tee_registry import TEERegistry


def chat(kind, body, rpc, contract, relay, tee):
    if kind == "confidential":
        client = opengradient.ConfidentialLLM(
            relay_url=relay, rpc_url=rpc, registry_address=contract
        )
        return client.chat(**body)

    client = OhttpRelayClient(
        relay, tee, auth_headers=lambda: {"Authorization": "Bearer of-the-client"}
    )

    if kind == "stream":
        return client.stream_chat_completion(body)

    return client.chat_completion(body)


def main(rpc, contract, relay):
    tee = TEERegistry(rpc, contract).get_llm_tee_ohttp_config()

    for case in json.load(sys.stdin):
        out = {"name": case["name"]}

        try:
            r = chat(case["kind"], case["body"], rpc, contract, relay, tee)
            out.update(
                content=r.content,
                tee_id=r.proof.tee_id,
                signature=r.proof.signature,
                frames=r.stream_frames,
                listed=tee.tee_id,
            )

        except Exception as e:
            out.update(
                error=type(e).__name__,
                status=getattr(e, "status_code", None),
                message=str(e),
            )

        print(json.dumps(out), flush=True)


main(*sys.argv[1:])
