#!/usr/bin/env node
// HTTP or HTTPS proxy in front of a JSON-RPC node that misbehaves on command.
//   node rpc-fault.mjs --to http://127.0.0.1:8545 [--port 0] [--cert FILE --key FILE]
// Prints {"ready":true,"port":N}; then one command per line on stdin, answered
// with one JSON line; ends at EOF or SIGTERM.
//   ok | status CODE | delay MS | stall | reset | close | truncate BYTES | drip BYTES MS
//   replace JSON | rpc-error CODE TEXT | wrong-id | null | huge BYTES | chunked | eof
//   result HEX (the answer's result is this) | file PATH (... is what the file has)
//   older SECONDS (blocks say that they are so much older)
// "on METHOD" in front makes it hold for that method only; a trailing "xN" for N
// requests, e.g. "status 503 x2", "on eth_call result 0x".
// "count" gives the requests seen, and of which methods; "log" their texts.
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import readline from 'node:readline';
import { parseArgs } from 'node:util';

const { values: o } = parseArgs({ options: { to: { type: 'string' }, port: { type: 'string', default: '0' },
  cert: { type: 'string' }, key: { type: 'string' } } });
const up = new URL(o.to);
const sleep = ms => new Promise(r => setTimeout(r, ms));
let mode = ['ok'], left = Infinity, only = null, count = 0, methods = {}, log = [], sockets = 0;

const forward = (q, body) => new Promise((ok, no) => {
  const r = http.request(up, { method: q.method, agent: false, headers: { 'content-type': 'application/json', 'content-length': body.length } }, s => {
    const b = []; s.on('data', c => b.push(c)).on('end', () => ok(Buffer.concat(b))).on('error', no);
  }).on('error', no);
  r.end(body);
});

const edits = {                                        // what they do to one answer
  'wrong-id': j => { j.id = 987654321; },
  null: j => { j.result = null; },
  huge: (j, a) => { j.result = '0x' + '00'.repeat(Number(a)); },
  'rpc-error': (j, a, rest) => { delete j.result; j.error = { code: Number(a), message: rest.join(' ') }; },
  result: (j, a) => { j.result = a; },
  file: (j, a) => { delete j.error; j.result = fs.readFileSync(a, 'utf8').trim(); },
  older: (j, a) => { if (j.result?.timestamp) j.result.timestamp = '0x' + (Number(j.result.timestamp) - Number(a)).toString(16); },
};

async function handle(q, s) {
  const b = []; for await (const c of q) b.push(c);
  const body = Buffer.concat(b), text = String(body);
  let method = '?';
  try { method = JSON.parse(text).method ?? '?'; } catch { /* whatever came is forwarded */ }
  count++;
  methods[method] = (methods[method] ?? 0) + 1;
  log.push({ at: Date.now() / 1000, head: q.rawHeaders, body: text });
  const hit = (!only || only === method) && left-- > 0;
  const [m, a, ...rest] = hit ? mode : ['ok'];
  const send = (buf, len = true) => { s.writeHead(200, { 'content-type': 'application/json', ...(len ? { 'content-length': buf.length } : {}) }); s.end(buf); };
  if (m === 'stall') return;
  if (m === 'reset') return q.socket.resetAndDestroy ? q.socket.resetAndDestroy() : q.socket.destroy();
  if (m === 'close') return q.socket.end();
  if (m === 'status') { s.writeHead(Number(a), { 'content-type': 'text/plain', ...(a === '429' ? { 'retry-after': '1' } : {}) }); return s.end('asked to fail\n'); }
  if (m === 'replace') return send(Buffer.from([a, ...rest].join(' ')));
  let out = await forward(q, body);
  if (m === 'delay') await sleep(Number(a));
  if (m in edits) {
    const j = JSON.parse(out);
    edits[m](j, a, rest);
    out = Buffer.from(JSON.stringify(j));
  }
  if (m === 'truncate') {                                  // full length announced, part of it sent
    s.writeHead(200, { 'content-type': 'application/json', 'content-length': out.length });
    s.write(out.subarray(0, Number(a)), () => q.socket.destroy());
    return;
  }
  if (m === 'drip') {
    s.writeHead(200, { 'content-type': 'application/json', 'content-length': out.length });
    for (let i = 0; i < out.length && !s.destroyed; i += Number(a)) { s.write(out.subarray(i, i + Number(a))); await sleep(Number(rest[0] ?? 1)); }
    return s.end();
  }
  if (m === 'eof') {                                       // neither length nor chunks: the end is the end
    q.socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n');
    return q.socket.end(out);
  }
  send(out, m !== 'chunked');
}

const on = (q, s) => { q.socket.setNoDelay(true); handle(q, s).catch(e => { s.destroyed || s.headersSent ? s.destroy() : (s.writeHead(502), s.end(String(e))); }); };
const srv = o.cert ? https.createServer({ cert: fs.readFileSync(o.cert), key: fs.readFileSync(o.key) }, on) : http.createServer(on);
srv.on('connection', () => sockets++);
srv.on('tlsClientError', () => {});
srv.listen(Number(o.port), '127.0.0.1', () => console.log(JSON.stringify({ ready: true, port: srv.address().port })));
for (const g of ['SIGTERM', 'SIGINT']) process.on(g, () => process.exit(0));
for await (const line of readline.createInterface({ input: process.stdin })) {
  const w = line.trim().split(/\s+/);
  if (!w[0]) continue;
  if (w[0] === 'count') { console.log(JSON.stringify({ count, methods, sockets })); continue; }
  if (w[0] === 'log') { console.log(JSON.stringify({ log })); log = []; continue; }
  left = Infinity;
  only = null;
  if (w[0] === 'on') { w.shift(); only = w.shift(); }
  if (/^x\d+$/.test(w.at(-1)) && w.length > 1) left = Number(w.pop().slice(1));
  mode = w;
  console.log(JSON.stringify({ ok: true, mode: w.join(' ') }));
}
process.exit(0);
