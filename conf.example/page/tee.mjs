// Asks a TEE through a relay that need not be trusted: finds it in a list, seals
// a question to it, opens the answer as it comes, and verifies what the TEE has
// signed.  It needs WebCrypto with X25519, and runs in browsers and in Node.

import { must, utf8 } from './bytes.mjs';
import { openChunks, openWhole, seal } from './ohttp.mjs';
import { Answer, chat, events, verifyAnswer, verifyConfig, verifyIdentity } from './signed.mjs';


// The list of TEEs, all of its pages

export async function list(url) {
    const tees = [];
    let from = 0;

    do {
        const response = await fetch(`${url}?from=${from}`, { cache: 'no-store' });

        if (!response.ok) {
            throw new Error(`The relay has no list of TEEs now: ${response.status}.`);
        }

        const page = await response.json();

        tees.push(...page.tees);
        from = page.next;
    } while (from);

    return tees.filter((tee) => tee.key_config);
}

async function* read(stream) {
    const reader = stream.getReader();

    for (let step; !(step = await reader.read()).done;) {
        yield step.value;
    }
}

// Asks a TEE.  The answer is what may be believed; whatever "text" is told
// before that, may not.
//
//   tee              one of list()
//   model, question
//   relay, config    where requests go, and where the TEE's signed key is
//   passed(check, facts)   a check has passed: identity, key, sealed, opened,
//                    tee, request, output, signature, time
//   text(text)       the text so far
//   signal           ends it
//
// Throws a Failure, which names the check, or what fetch() throws.

export async function ask({ tee, model, question, relay, config, passed, text, signal }) {
    const asked = chat(model, question);
    const headers = { 'X-TEE-ID': tee.tee_id };

    verifyIdentity(tee);
    passed('identity');

    const served = await fetch(config, { headers, signal, cache: 'no-store' });

    must('key', served.ok, `The relay does not hand out the key that the TEE has signed: ${served.status}.`);

    const key = await verifyConfig(tee, await served.json().catch(() => null));

    passed('key', { key: key.id });

    const sealed = await seal(key, utf8(asked.body));

    passed('sealed', { sealed: sealed.wire.length });

    const response = await fetch(relay, {
        method: 'POST',
        headers: {
            ...headers,
            'Content-Type': 'message/ohttp-req',
            Accept: 'message/ohttp-chunked-res, message/ohttp-res',
            'X-OHTTP-Stream': 'true',
        },
        body: sealed.wire,
        credentials: 'omit',
        signal,
    });
    const type = response.headers.get('Content-Type')?.split(';')[0].trim().toLowerCase();
    const answer = new Answer();

    // whoever is on the way can say this
    must('opened', response.ok && /^message\/ohttp-(chunked-)?res$/.test(type),
        `There is no sealed answer, but ${response.status} and something that anybody may have written.`);

    try {
        if (type === 'message/ohttp-res') {
            answer.whole(new TextDecoder('utf-8', { fatal: true }).decode(await openWhole(sealed, read(response.body))));

        } else {
            for await (const data of events(openChunks(sealed, read(response.body)))) {
                if (data.trim() !== '[DONE]') {
                    answer.event(data);
                    text(answer.text);
                }
            }
        }
    } catch (error) {
        must('opened', !(error instanceof TypeError) || signal?.aborted, 'The answer breaks off, or is no text.');
        throw error;
    }

    passed('opened');

    await verifyAnswer(tee, asked.signed, answer, Math.floor(Date.now() / 1000), passed);

    return { text: answer.output(), isCalls: answer.isCalls };
}
