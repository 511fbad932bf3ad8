// What is seen of it all.  Whatever comes from elsewhere is shown as text.

import { ask, list } from './tee.mjs';

// where the relay has what is needed, as seen from the page
const TEES = 'tees';
const CONFIG = 'tees/config';
const RELAY = 'api/v1/chat/ohttp';

const FROM_LIST = ['tee_id', 'endpoint', 'pcr_hash', 'pin', 'key_config'];
const LATER = ['key', 'sealed', 'request', 'output', 'time', 'signature'];

const byId = (id) => document.getElementById(id);
const checks = [...byId('checks').children];

checks.forEach((item) => item.prepend(document.createElement('b')));

let tees = [];
let running = null;

function verdict(state, text) {
    byId('verdict').dataset.state = state;

    // it is read aloud when it changes
    if (byId('verdict').textContent !== text) {
        byId('verdict').textContent = text;
    }
}

// in words, too: colours are not for everybody
const STATES = { '': '○ not yet', good: '✓ passed', bad: '✗ failed' };

function mark(check, state) {
    const item = checks.find((one) => one.dataset.check === check);

    item.dataset.state = state;
    item.querySelector('b').textContent = STATES[state];
}

const SPELLING = {
    sealed: (length) => `${length} bytes`,
    time: (seconds) => new Date(seconds * 1000).toISOString().replace('.000', ''),
};

function facts(values, names = Object.keys(values)) {
    for (const name of names) {
        const value = values[name] ?? '';

        byId(name).textContent = value === '' ? '' : (SPELLING[name] ?? String)(value);
    }
}

function chosen() {
    return tees.find((tee) => tee.tee_id === byId('tee').value);
}

function reset() {
    checks.forEach((item) => mark(item.dataset.check, ''));
    byId('answer').textContent = '';
    facts(chosen(), FROM_LIST);
    facts({}, LATER);
}

// A button that is disabled loses the focus, which whoever has no mouse needs.

function busy(is) {
    byId('answer').setAttribute('aria-busy', is);
    byId('ask').setAttribute('aria-disabled', is);

    if (!is && document.activeElement === byId('stop')) {
        byId('ask').focus();
    }

    byId('stop').disabled = !is;
}

async function run() {
    const own = new AbortController();

    running = own;
    reset();
    verdict('', 'Asking. Nothing is verified yet.');
    busy(true);

    try {
        const answer = await ask({
            tee: chosen(),
            model: byId('model').value,
            question: byId('question').value,
            relay: RELAY,
            config: CONFIG,
            signal: own.signal,
            text(text) {
                verdict('', 'Not verified yet: the answer is still coming, and whatever is here may be wrong.');
                byId('answer').textContent = text;
            },
            passed(check, values = {}) {
                mark(check, 'good');
                facts(values);
            },
        });

        byId('answer').textContent = answer.text;
        verdict('good', answer.isCalls ? 'Verified: the enclave wants these tools to be called.'
            : 'Verified: this is the enclave\'s own answer, to your question.');

    } catch (error) {
        byId('answer').textContent = '';

        if (own.signal.aborted) {
            verdict('', 'Stopped. What had come was not verified, and is gone.');

        } else {
            if (error.check) {
                mark(error.check, 'bad');
            }

            verdict('bad', `Not believed: ${error.message} What had come of the answer is gone.`);
        }
    }

    running = null;
    busy(false);
}

async function start() {
    if (!globalThis.isSecureContext) {
        throw new Error('A browser seals only on pages that come by HTTPS or from this computer.');
    }

    tees = await list(TEES);

    if (tees.length === 0) {
        throw new Error('The relay knows no TEE that questions can be sealed to.');
    }

    for (const tee of tees) {
        byId('tee').add(new Option(`${tee.tee_id.slice(0, 18)}…  ${tee.endpoint}`, tee.tee_id));
    }

    // any of them, as the SDKs do
    byId('tee').selectedIndex = Math.floor(Math.random() * tees.length);
    byId('ask').disabled = false;
    reset();
}

byId('form').addEventListener('submit', (event) => {
    event.preventDefault();

    if (!running && tees.length > 0) {
        run();
    }
});

byId('stop').addEventListener('click', () => running?.abort());
byId('tee').addEventListener('change', () => running || reset());

// Enter sends, and with Shift begins a new line

byId('question').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        byId('form').requestSubmit();
    }
});

start().catch((error) => verdict('bad', error.message));
