#!/usr/bin/python3

# (C) The ngx_http_tee authors

"""What CPython makes of generated texts, against the driver.

    canon.py DRIVER SEED

For each kind, one line: its name, how many there were, how many of them
CPython refuses, how many the driver calls unsupported, and how many differ.
The rules of the gateway are written here a second time.
"""

import json
import random
import struct
import subprocess
import sys

DOCUMENTS = 20000
CHATS = 5000
DOUBLES = 1000000

CHARS = ['a', 'b', 'Z', '0', ' ', '/', '\x7f', '\x80', '\xe9', '\u2028',
         '\ud7ff', '\ue000', '\ufeff', '\uffff', '\U00010000', '\U0001f600',
         '\U0010ffff', 'NaN', 'E', 'Infinity', '1E5', '{', ']', ',']
ESCAPES = ['\\n', '\\/', '\\"', '\\\\', '\\b', '\\f', '\\r', '\\t',
           '\\u0000', '\\u007f', '\\u001F']
HALVES = [0xd800, 0xdbff, 0xdc00, 0xdfff, 0xd83d, 0xde00]
NUMBERS = ['-0', '-0.0', '0', '0.0', '0e5', '-0E0', '0E0', '9e999', '1E400',
           '-1e400', '1e-400', 'NaN', 'Infinity', '-Infinity', '1e22', '1e23']
BROKEN = ['-NaN', '1.', '.5', '01', '+1', '--1', 'truE', '1E', '1Infinity',
          'NaNN', 'nan', '1e5E', 'e', '- 1', '1-Infinity', '5E-Infinity',
          '0x1', '1_0', '"\n"', '"\x1f"', '"\\x41"', '"\\u12"', "'a'"]
DAMAGE = [',', '"', '}', 'E', 'N', '', ' ', '\\', '\v', '\f', 'x', '\0']


class Refused(Exception):
    pass


class Driver:
    def __init__(self, path):
        self.p = subprocess.Popen([path], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)

    def canonical(self, kind, text):
        q = {'op': 'canonical', 'kind': kind, 'input_hex': text.hex()}
        self.p.stdin.write(json.dumps(q) + '\n')
        self.p.stdin.flush()
        r = json.loads(self.p.stdout.readline())

        if r['ok']:
            return bytes.fromhex(r['canonical_hex']).decode(), None

        if r['error'] == 'driver':
            raise SystemExit('the driver does not understand us')

        return None, r['error']


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def string(self):
        r, out = self.r, '"'

        for _ in range(r.choice([0, 1, 1, 2, 3, 8])):
            k = r.random()

            if k < .15:
                out += '\\u%04x' % r.choice(HALVES)
            elif k < .2:
                out += '\\u%04X' % r.randrange(65536)
            elif k < .3:
                out += r.choice(ESCAPES)
            else:
                out += r.choice(CHARS)

        return out + '"'

    def number(self):
        r = self.r
        k = r.randrange(8)

        if k == 0:
            return str(r.randrange(-10, 10))
        if k == 1:
            return str(r.getrandbits(r.randrange(1, 300)) * r.choice([1, -1]))
        if k == 2:
            return '%d.%d' % (r.randrange(-99, 99), r.randrange(1000))
        if k == 3:
            return '%de%d' % (r.randrange(-99, 99), r.randrange(-330, 330))
        if k == 4:
            return '%d.%dE%+d' % (r.randrange(-99, 99), r.randrange(1000),
                                  r.randrange(-330, 330))
        if k == 5:
            return r.choice(BROKEN if r.random() < .02 else NUMBERS)

        return json.dumps(double(r.getrandbits(64)))

    def space(self):
        return self.r.choice(['', '', '', ' ', '\n', '\t ', '\r'])

    def scalar(self):
        return self.r.choice([self.string, self.number, lambda:
                              self.r.choice(['true', 'false', 'null'])])()

    def value(self, depth):
        r, s = self.r, self.space
        k = r.random()

        if depth == 0 or k < .35:
            return self.scalar()

        if k < .7:
            names = ['"a"', '"b"', '"\\u0061"', '"c"', self.string()]
            return '{' + ','.join(
                s() + r.choice(names) + s() + ':' + s()
                + self.value(depth - 1) + s()
                for _ in range(r.randrange(6))) + s() + '}'

        return '[' + ','.join(s() + self.value(depth - 1) + s()
                              for _ in range(r.randrange(5))) + ']'

    def document(self):
        r = self.r
        text = self.space() + self.value(r.randrange(6)) + self.space()

        if r.random() < .1:
            at = r.randrange(len(text))
            text = text[:at] + r.choice(DAMAGE) + text[at + r.randrange(2):]

        return text

    def object(self, **members):
        """Some of the members, in any order, perhaps one of them twice."""

        r = self.r
        names = [n for n in members if r.random() < .75]
        r.shuffle(names)

        if names and r.random() < .1:
            names.append(r.choice(names))

        return '{' + ','.join(json.dumps(n) + ':' + members[n]()
                              for n in names) + '}'

    def some(self, *texts):
        return lambda: self.r.choice(texts + (self.scalar(), self.value(2)))

    def part(self):
        name = self.some('"a.pdf"', '""', 'null')
        kind = self.some('"text"', '"text"', '"text"', '"file"')

        return self.r.choice([self.string(), self.object(
            type=kind, text=self.some('"x"', '""', 'null', self.string()),
            filename=name, extra=self.scalar,
            file=lambda: self.object(filename=name, file_data=self.string))])

    def call(self):
        return self.r.choice(['1', self.object(
            id=self.string, type=lambda: '"function"',
            function=lambda: self.r.choice(['null', self.object(
                name=self.string, arguments=self.string, x=self.scalar)])
            if self.r.random() < .1 else self.object(
                name=self.string, arguments=self.string))])

    def items(self, one):
        return lambda: '[' + ','.join(
            one() for _ in range(self.r.randrange(4))) + ']'

    def message(self):
        r = self.r
        role = r.choice(['"user"', '"user"', '"system"', '"assistant"',
                         '"tool"', '"function"'])

        if r.random() < .01:
            role = r.choice(['"developer"', 'null', '""', '1'])

        content = self.string

        if r.random() < .4:
            content = self.items(self.part)
        elif r.random() < .1:
            content = self.some('null', '5', '1.50', 'true')

        body = self.object(content=content, tool_calls=self.items(self.call),
                           tool_call_id=self.string, name=self.string,
                           refusal=self.scalar)

        return '{"role":' + role + (',' if body != '{}' else '') + body[1:]

    def chat(self):
        r = self.r
        messages = self.items(self.message)()
        model = self.string()

        body = self.object(
            temperature=self.some('0.7', '1', '0', '-0', '1e-7', 'null',
                                  self.number()),
            max_tokens=self.some('0', '256', '100.0', 'null'),
            stop=self.some('"END"', '""', '[]', '["a"]', '[""]'),
            tools=self.items(lambda: self.value(3)),
            response_format=self.some('{}', '{"type":"text"}', 'null'),
            web_search=self.some('true', 'false', '0', '1'),
            aspect_ratio=self.some('"16:9"', '""', 'null'),
            top_p=self.number, user=self.string, stream=self.scalar)

        text = '{"messages":' + messages + ',"model":' + model

        return text + (',' if body != '{}' else '') + body[1:]


def double(bits):
    return struct.unpack('>d', struct.pack('>Q', bits))[0]


def content(c):
    if isinstance(c, str):
        return c
    if not isinstance(c, list):
        return str(c)

    parts = []

    for p in c:
        if not isinstance(p, dict):
            parts.append({'type': 'text', 'text': str(p)})
        elif p.get('type') == 'text':
            parts.append({'type': 'text', 'text': p.get('text') or ''})
        else:
            f = p.get('file')
            name = f.get('filename') if isinstance(f, dict) else None
            name = name or p.get('filename')
            parts.append({'type': p.get('type'),
                          **({'filename': name} if name else {})})

    return parts


def message(m):
    role, c = m.get('role'), m.get('content')

    if role == 'assistant':
        out = {'role': role, 'content': c or ''}

        if m.get('tool_calls'):
            calls = []

            for t in m['tool_calls']:
                t = t if isinstance(t, dict) else {}
                f = t.get('function', {})

                if not isinstance(f, dict):
                    raise Refused

                calls.append({'id': t.get('id'), 'type': t.get('type'),
                              'function': {'name': f.get('name'),
                                           'arguments': f.get('arguments')}})

            out['tool_calls'] = calls

        return out

    if 'content' in m and c is None:
        raise Refused

    if role == 'user':
        return {'role': role, 'content': content(c)}
    if role == 'system':
        return {'role': role, 'content': c}
    if role == 'tool':
        return {'role': role, 'content': c,
                'tool_call_id': m.get('tool_call_id')}
    if role == 'function':
        return {'role': role, 'name': m.get('name'),
                'content': str(c) if 'content' in m else c}

    raise Refused


def chat(body):
    if not body['messages']:
        raise Refused

    t = body.get('temperature')

    out = {'model': body['model'],
           'messages': [message(m) for m in body['messages']],
           'temperature': 0.0 if t is None else float(t)}

    if body.get('max_tokens') is not None:
        out['max_tokens'] = body['max_tokens']

    for name in 'stop', 'tools', 'response_format', 'aspect_ratio':
        if body.get(name):
            out[name] = body[name]

    if body.get('web_search'):
        out['web_search'] = True

    return out


def wanted(text, make):
    try:
        return json.dumps(make(json.loads(text.decode())), sort_keys=True)
    except (Refused, ValueError, TypeError, OverflowError, RecursionError):
        return None


def compare(driver, name, kind, texts, make):
    n, refused, unsupported, wrong = 0, 0, 0, 0

    for text in texts:
        want = wanted(text, make)
        got, error = driver.canonical(kind, text)

        n += 1
        refused += want is None
        unsupported += want is not None and error == 'unsupported'

        if got != want and error != 'unsupported':
            wrong += 1

            if wrong < 10:
                print('#', ascii(text)[:400], '\n#', want and want[:400],
                      '\n#', got and got[:400], error, file=sys.stderr)

    print(name, n, refused, unsupported, wrong, flush=True)


def doubles(r):
    """Random bits, and all powers of two and ten, with what is beside."""

    for _ in range(DOUBLES // 1000):
        yield [double(r.getrandbits(64)) for _ in range(1000)]

    for exp in range(-1074, 1024):
        bits = struct.unpack('>Q', struct.pack('>d', 2.0 ** exp))[0]
        yield [double(b) for b in (bits - 1, bits, bits + 1)]

    for exp in range(-330, 310):
        bits = struct.unpack('>Q', struct.pack('>d', float('1e%d' % exp)))[0]
        yield [double(max(b, 0)) for b in (bits - 1, bits, bits + 1)]


def finite(numbers):
    return [n for n in numbers if n == n and abs(n) != float('inf')]


def main():
    driver = Driver(sys.argv[1])
    m = Maker(int(sys.argv[2]))

    compare(driver, 'documents', 'raw',
            (m.document().encode() for _ in range(DOCUMENTS)), lambda v: v)

    compare(driver, 'chats', 'chat',
            (m.chat().encode() for _ in range(CHATS)), chat)

    # 17 and 25 digits, which make the same numbers

    for form in '%.16e', '%.24E':
        compare(driver, 'doubles', 'raw',
                (('[' + ','.join(form % n for n in finite(numbers))
                  + ']').encode() for numbers in doubles(m.r)), lambda v: v)

    driver.p.stdin.close()
    raise SystemExit(driver.p.wait())


main()
