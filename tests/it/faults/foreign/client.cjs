// A client of an edge's socket by the `ws` library: opens it, sends the frames that each case names, and tells what came.
// What that should be is judged in `foreign/mod.rs`.
//
// Usage: client.cjs ADDRESS PATH KEY CASES
const fs = require('node:fs');
const WebSocket = require('ws');

const [address, path, key, cases] = process.argv.slice(2);
const PATIENCE_MS = 10_000;

// A frame as the library makes it, but for its first byte, where a case may want what no library would send.
function wire({ first, masked, payload }) {
  const options = { fin: true, rsv1: false, opcode: 1, mask: masked, readOnly: true };
  const data = Buffer.concat(WebSocket.Sender.frame(Buffer.from(payload, 'hex'), options));
  data[0] = first;
  return data;
}

function run(one) {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://${address}${path}`, { headers: { authorization: `Bearer ${key}` }, perMessageDeflate: true });
    const events = [];
    let begun = false;
    const end = () => {
      clearTimeout(patience);
      socket.terminate();
      resolve({ name: one.name, events });
    };
    const patience = setTimeout(() => {
      events.push({ late: one.until });
      end();
    }, PATIENCE_MS);
    const tell = (event) => {
      events.push(event);
      if (JSON.stringify(event).includes(one.until) || 'end' in event) end();
    };
    socket.on('open', () => socket.send(one.hello));
    socket.on('message', (data, isBinary) => {
      if (begun) return tell(isBinary ? { binary: data.toString('hex') } : { text: data.toString() });
      begun = true;
      const bytes = Buffer.concat(one.frames.map(wire));
      const step = one.step || bytes.length;
      for (let start = 0; start < bytes.length; start += step) socket._socket.write(bytes.subarray(start, start + step));
    });
    socket.on('pong', (data) => tell({ pong: data.toString('hex') }));
    // The library sees the close before it is all over; 1005 is its word for a close without a code, 1006 for none.
    socket.on('close', (code) => {
      if (code !== 1006) events.push({ close: code === 1005 ? null : code });
      tell({ end: true });
    });
    socket.on('error', (error) => {
      // Broken off while we still write, which is the service's right after a close.
      if (!['ECONNRESET', 'EPIPE'].includes(error.code)) events.push({ violation: String(error) });
    });
  });
}

(async () => {
  for (const one of JSON.parse(fs.readFileSync(cases, 'utf8'))) console.log(JSON.stringify(await run(one)));
})();
