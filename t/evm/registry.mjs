#!/usr/bin/env node
// Starts a private EVM on 127.0.0.1, deploys the stand-in registry, registers
// the TEEs of a JSON file, then takes one command per line on stdin and answers
// one JSON line each. Ends (and ends the EVM) at EOF, "quit", SIGTERM or SIGINT.
//
//   node registry.mjs --tees fixtures/tees.json [--port 0] [--layout v2|v1]
//                     [--chain-id 31337] [--state FILE] [--rpc URL] [--anvil PATH]
//                     [--block-time SECONDS]
//
// Commands: add {json} | remove N | enable N | disable N | rotate-cert N FILE
//   rotate-ohttp N KEYFILE [KEYID] | endpoint N URL | heartbeat N | max-age S
//   advance S (the chain's clock) | mine | break TEXT / repair (every read reverts)
//   active [TYPE] | list [TYPE] | quit
// N is a name from the file or a teeId.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import readline from 'node:readline';
import { spawn } from 'node:child_process';
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { createTestClient, defineChain, http, keccak256, publicActions, toHex, walletActions } from 'viem';

const { values: opt } = parseArgs({ options: {
  tees: { type: 'string' }, port: { type: 'string', default: '0' },
  layout: { type: 'string', default: 'v2' }, 'chain-id': { type: 'string', default: '31337' },
  'block-time': { type: 'string' }, state: { type: 'string' }, rpc: { type: 'string' }, anvil: { type: 'string' },
} });

const art = JSON.parse(fs.readFileSync(new URL('build/TestRegistry.json', import.meta.url)));
const { abi, bytecode } = art[opt.layout === 'v1' ? 'TestRegistryV1' : 'TestRegistryV2'];
const say = o => process.stdout.write(JSON.stringify(o, (k, v) => typeof v === 'bigint' ? Number(v) : v) + '\n');

const freePort = () => new Promise((ok, no) => {
  const s = net.createServer().once('error', no).listen(0, '127.0.0.1', () => {
    const { port } = s.address(); s.close(() => ok(port));
  });
});

// ---- the node ----
let node, rpc = opt.rpc;
if (!rpc) {
  const bin = opt.anvil ?? createRequire(import.meta.url).resolve('@foundry-rs/anvil-linux-amd64/bin/anvil');
  const port = Number(opt.port) || await freePort();
  rpc = `http://127.0.0.1:${port}`;
  const argv = [bin, '--host', '127.0.0.1', '--port', String(port), '--chain-id', opt['chain-id'], '--silent'];
  if (opt['block-time']) argv.push('--block-time', opt['block-time']);
  if (fs.existsSync('/usr/bin/setpriv'))                // the node must not outlive us, even after SIGKILL
    argv.unshift('/usr/bin/setpriv', '--pdeathsig', 'KILL', '--');
  node = spawn(argv[0], argv.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] });
  node.on('exit', code => { if (!bye) console.error(`anvil ended early (${code})`); process.exit(bye ? 0 : 1); });
}
let bye = false;
const quit = () => { bye = true; if (node) node.kill('SIGKILL'); else process.exit(0); };
for (const s of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(s, quit);

const chain = defineChain({ id: Number(opt['chain-id']), name: 'test',
  nativeCurrency: { name: 'E', symbol: 'E', decimals: 18 }, rpcUrls: { default: { http: [rpc] } } });
const c = createTestClient({ mode: 'anvil', chain, transport: http(rpc, { retryCount: 0 }), pollingInterval: 10 })
  .extend(publicActions).extend(walletActions);
for (let i = 0; ; i++) {
  try { await c.getChainId(); break; } catch (e) { if (i > 500) throw e; await new Promise(r => setTimeout(r, 10)); }
}
const [account] = await c.getAddresses();               // unlocked: no local signing

// ---- the contract ----
const gas = 10_000_000n;                                // no estimation round trip
const mined = async hash => {                           // viem waits for a block that may have come already
  for (let i = 0; i < 3000; i++) {
    const r = await c.request({ method: 'eth_getTransactionReceipt', params: [hash] });
    if (r) {
      if (r.status !== '0x1') throw new Error('transaction reverted');
      return { ...r, blockNumber: Number(r.blockNumber) };
    }
    await new Promise(ok => setTimeout(ok, 10));
  }
  throw new Error(`transaction ${hash} is not mined`);
};
const { contractAddress: address } = await mined(await c.deployContract({ account, abi, bytecode, gas }));
const write = async (functionName, args) => mined(await c.writeContract({ account, address, abi, functionName, args, gas }));
const read = (functionName, args) => c.readContract({ address, abi, functionName, args });

// ---- records from files ----
const der = {
  cert: f => toHex(new X509Certificate(fs.readFileSync(f)).raw),
  spki: f => { const b = fs.readFileSync(f); let k;
    try { k = createPublicKey(createPrivateKey(b)); }
    catch { k = createPublicKey(b.includes('-----') ? b : { key: b, format: 'der', type: 'spki' }); }
    return k.export({ format: 'der', type: 'spki' }); },
};
const raw32 = f => der.spki(f).subarray(-32);           // X25519 SPKI ends in the raw key
const u16 = n => Buffer.from([n >> 8, n & 255]);
function ohttp(t, dir) {
  if (!t.hpkeKey) return { keyId: 0, kemId: 0, kdfId: 0, aeadId: 0, publicKey: '0x', keyConfig: '0x', registeredAt: 0n };
  const keyId = t.keyId ?? 1, kem = t.kem ?? 0x20, kdf = t.kdf ?? 1, aead = t.aead ?? 3;
  const pk = raw32(path.resolve(dir, t.hpkeKey));
  const kc = Buffer.concat([Buffer.from([keyId]), u16(kem), pk, u16(4), u16(kdf), u16(aead)]);   // RFC 9458, section 3.1
  return { keyId, kemId: kem, kdfId: kdf, aeadId: aead, publicKey: toHex(pk), keyConfig: toHex(kc),
    registeredAt: BigInt(Math.floor(Date.now() / 1000)) };
}
const ZERO = '0x' + '0'.repeat(40);
function record(t, dir, teeType) {
  return { owner: t.owner ?? account, paymentAddress: t.paymentAddress ?? ZERO, endpoint: t.endpoint,
    publicKey: toHex(der.spki(path.resolve(dir, t.signingKey))),
    tlsCertificate: t.cert ? der.cert(path.resolve(dir, t.cert)) : '0x',
    pcrHash: t.pcrHash ?? keccak256(toHex('test image')), teeType: t.teeType ?? teeType ?? 0,
    enabled: t.enabled ?? true, registeredAt: 0n, lastHeartbeatAt: 0n, ohttpConfig: ohttp(t, dir) };
}
const names = new Map();                                // name -> teeId
const id = n => names.get(n) ?? n;
async function put(t, dir, teeType) {
  const r = record(t, dir, teeType), teeId = keccak256(r.publicKey);
  await write('put', [r]);
  names.set(t.name ?? teeId, teeId);
  return { teeId };
}

const cwd = process.cwd();
const cmds = {
  add: j => put(JSON.parse(j), cwd),
  remove: n => write('remove', [id(n)]),
  enable: n => write('setEnabled', [id(n), true]),
  disable: n => write('setEnabled', [id(n), false]),
  'rotate-cert': (n, f) => write('setCertificate', [id(n), der.cert(f)]),
  'rotate-ohttp': (n, f, kid) => write('setOhttp', [id(n), ohttp({ hpkeKey: f, keyId: Number(kid) || 1 }, cwd)]),
  endpoint: (n, url) => write('setEndpoint', [id(n), url]),
  heartbeat: n => write('touch', [id(n)]),
  'max-age': s => write('setHeartbeatMaxAge', [BigInt(s)]),
  break: (...w) => write('setBroken', [w.join(' ') || 'broken']),
  repair: () => write('setBroken', ['']),
  advance: async s => { await c.request({ method: 'evm_increaseTime', params: [Number(s)] }); await c.request({ method: 'evm_mine', params: [] }); },
  mine: async () => { await c.request({ method: 'evm_mine', params: [] }); },
  active: async t => ({ active: (await read('getActiveTEEs', [Number(t ?? 0)])).map(x => x.endpoint) }),
  list: async t => ({ list: await read('getActiveTEEs', [Number(t ?? 0)]) }),
};

if (opt.tees) {
  const j = JSON.parse(fs.readFileSync(opt.tees));
  for (const t of j.tees) await put(t, path.dirname(opt.tees), j.teeType);
}
const state = { rpc, address, layout: opt.layout, chainId: chain.id, nodePid: node?.pid, tees: Object.fromEntries(names) };
if (opt.state) { fs.writeFileSync(opt.state + '.tmp', JSON.stringify(state)); fs.renameSync(opt.state + '.tmp', opt.state); }
say({ ready: true, ...state });

for await (const line of readline.createInterface({ input: process.stdin })) {
  const m = line.trim().match(/^(\S+)\s*(.*)$/);
  if (!m) continue;
  if (m[1] === 'quit') break;
  try {
    const f = cmds[m[1]];
    if (!f) throw new Error('unknown command');
    const out = await f(...(m[1] === 'add' ? [m[2]] : m[2].split(/\s+/).filter(Boolean)));
    say({ ok: true, cmd: m[1], ...(out?.transactionHash ? { block: out.blockNumber } : out) });
  } catch (e) { say({ ok: false, cmd: m[1], error: e.shortMessage ?? e.message }); }
}
quit();
