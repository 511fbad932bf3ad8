"""Asks with the client of OpenGradient's SDK, over and over.

    sdk_client.py RELAY TEE_ID SIGNING_KEY HPKE_KEY SECONDS BODY

Prints how many verified answers there were, in which time, and the processor time that they took.
"""

import base64
import json
import sys
import time

from opengradient.client.tee_ohttp_client import OhttpRelayClient
from opengradient.client.tee_registry import OhttpConfig, TEEEndpoint


def main(relay, tee_id, signing_key, hpke_key, seconds, body):
    tee = TEEEndpoint(
        tee_id=tee_id, endpoint="https://tee.test", tls_cert_der=b"", payment_address="",
        signing_public_key_der=base64.b64decode(signing_key),
        ohttp_config=OhttpConfig(1, 0x20, 1, 3, bytes.fromhex(hpke_key), b"", 0),
    )
    client = OhttpRelayClient(relay, tee)
    body = json.loads(body)

    for _ in range(20):
        client.chat_completion(body)

    count, wall, cpu = 0, time.monotonic(), time.process_time()

    while time.monotonic() - wall < float(seconds):
        client.chat_completion(body)
        count += 1

    print(count, time.monotonic() - wall, time.process_time() - cpu)


main(*sys.argv[1:])
